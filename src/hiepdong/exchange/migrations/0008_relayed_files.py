import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0007_echo_by_bundle"),
    ]

    operations = [
        migrations.AddField(model_name="peer", name="missing", field=models.JSONField(default=list)),
        migrations.CreateModel(
            name="RelayedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                ("size", models.BigIntegerField()),
                ("name", models.CharField(max_length=200)),
                ("kept", models.BooleanField(default=False)),
                ("given_at", models.DateTimeField(blank=True, null=True)),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                (
                    "giver",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="exchange.peer"),
                ),
                (
                    "parcel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="relayed_files", to="exchange.parcel"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["digest"], name="exchange_relayed_digest"),
                    models.Index(fields=["giver", "id"], name="exchange_relayed_missing", condition=Q(kept=False)),
                    models.Index(fields=["given_at"], name="exchange_relayed_given", condition=Q(given_at__isnull=False)),
                ],
                "constraints": [models.UniqueConstraint(fields=["parcel", "digest"], name="exchange_relayed_once")],
            },
        ),
    ]
