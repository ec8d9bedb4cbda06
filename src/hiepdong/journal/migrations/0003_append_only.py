"""The database itself refuses to change or delete what the journal says. Accidents are stopped by it; one who may drop
a trigger is found by the chain of seals.

An UPDATE may set `reacted_at`, and `seal` once. On SQLite a later migration that rebuilds one of these tables drops its
triggers without a word: it must make them again (tests/integration/journal/test_journal_append_only.py says so).
TRUNCATE on PostgreSQL passes, for a test's database is emptied by it; on SQLite a flush is a DELETE and is refused.
"""

from django.db import migrations

KEPT = (
    "id code at subject_kind subject_id subject_name actor_kind actor_id actor_name organisation_id facts".split()
)
WHOLE = ("journal_seal", "journal_stamp")
TOLD = "the journal is append-only"


def protect(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        _protect_sqlite(schema_editor)
    elif schema_editor.connection.vendor == "postgresql":
        _protect_postgresql(schema_editor)


def unprotect(apps, schema_editor):
    postgresql = schema_editor.connection.vendor == "postgresql"
    for table in ("journal_entry", *WHOLE):
        for act in ("update", "delete"):
            on = f" ON {table}" if postgresql else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{act}{on}", params=None)
    if postgresql:
        schema_editor.execute("DROP FUNCTION IF EXISTS journal_refuse()", params=None)


def _protect_sqlite(schema_editor):
    changed = " OR ".join(f'OLD."{name}" IS NOT NEW."{name}"' for name in KEPT)
    for table, act, when in (
        ("journal_entry", "update", f" WHEN {changed} OR (OLD.seal IS NOT NULL AND OLD.seal IS NOT NEW.seal)"),
        ("journal_entry", "delete", ""),
        *((table, act, "") for table in WHOLE for act in ("update", "delete")),
    ):
        schema_editor.execute(
            f"CREATE TRIGGER {table}_no_{act} BEFORE {act.upper()} ON {table}{when} BEGIN SELECT RAISE(ABORT, '{TOLD}'); END",
            params=None,
        )


def _protect_postgresql(schema_editor):
    schema_editor.execute(
        "CREATE FUNCTION journal_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{TOLD}' USING ERRCODE = 'restrict_violation'; END $$",
        params=None,
    )
    changed = " OR ".join(f'OLD."{name}" IS DISTINCT FROM NEW."{name}"' for name in KEPT)
    for table, act, when in (
        ("journal_entry", "update", f" WHEN ({changed} OR (OLD.seal IS NOT NULL AND OLD.seal IS DISTINCT FROM NEW.seal))"),
        ("journal_entry", "delete", ""),
        *((table, act, "") for table in WHOLE for act in ("update", "delete")),
    ):
        schema_editor.execute(
            f"CREATE TRIGGER {table}_no_{act} BEFORE {act.upper()} ON {table} FOR EACH ROW{when} "
            "EXECUTE FUNCTION journal_refuse()",
            params=None,
        )


class Migration(migrations.Migration):

    dependencies = [
        ("journal", "0002_seals"),
    ]

    operations = [migrations.RunPython(protect, unprotect)]
