"""The word index, in the form each database has."""

from django.db import migrations


def make(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            "create virtual table exchange_search using fts5(words, content='', tokenize='unicode61 remove_diacritics 0')"
        )
    else:
        schema_editor.execute("create table exchange_search (dispatch_id bigint primary key, words tsvector not null)")
        schema_editor.execute("create index exchange_search_words on exchange_search using gin (words)")


def drop(apps, schema_editor):
    schema_editor.execute("drop table exchange_search")


class Migration(migrations.Migration):
    dependencies = [("exchange", "0001_initial")]
    operations = [migrations.RunPython(make, drop)]
