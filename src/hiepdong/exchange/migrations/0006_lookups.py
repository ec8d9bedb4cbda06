from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0005_wanted_by_bundle"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="arrival",
            index=models.Index(
                fields=["waits_for"], name="exchange_arrival_without", condition=Q(state="applied") & ~Q(waits_for="")
            ),
        ),
        migrations.AddIndex(
            model_name="parcel",
            index=models.Index(fields=["subject"], name="exchange_parcel_told", condition=~Q(subject="")),
        ),
    ]
