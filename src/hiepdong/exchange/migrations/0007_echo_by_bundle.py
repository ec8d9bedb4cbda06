from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0006_lookups"),
    ]

    operations = [
        migrations.AddField(model_name="peer", name="told_back", field=models.JSONField(default=dict)),
        migrations.AddField(
            model_name="peer", name="echo_after", field=models.PositiveBigIntegerField(blank=True, null=True)
        ),
        migrations.AddField(model_name="peer", name="echo_ended", field=models.CharField(blank=True, max_length=32)),
        migrations.AddField(model_name="bundle", name="taken_at", field=models.DateTimeField(blank=True, null=True)),
    ]
