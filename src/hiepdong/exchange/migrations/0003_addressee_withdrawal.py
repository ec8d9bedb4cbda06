from django.db import migrations, models


def copy(apps, schema_editor):
    """Say of every addressee whether its dispatch is a withdrawal: one statement, few rows."""
    dispatch, addressee = apps.get_model("exchange", "Dispatch"), apps.get_model("exchange", "Addressee")
    taken_back = dispatch.objects.filter(kind="withdrawal").values("pk")
    addressee.objects.filter(dispatch__in=taken_back).update(withdrawal=True)


class Migration(migrations.Migration):
    dependencies = [("exchange", "0002_search")]

    operations = [
        migrations.AddField(model_name="addressee", name="withdrawal", field=models.BooleanField(default=False)),
        migrations.RunPython(copy, migrations.RunPython.noop, elidable=True),
        migrations.RemoveIndex(model_name="addressee", name="exchange_addressee_way"),
        migrations.AddIndex(
            model_name="addressee",
            index=models.Index(
                fields=["sender_id_copy", "organisation", "sent_at", "withdrawal"], name="exchange_addressee_way"
            ),
        ),
    ]
