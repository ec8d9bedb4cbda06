"""A token of the machine interface ends. Those of before end a year after the day of this migration."""

from datetime import date, timedelta

from django.db import migrations, models
from django.utils import timezone


def in_a_year() -> date:
    return timezone.localdate() + timedelta(days=365)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_api_tokens")]

    operations = [
        migrations.AddField("apitoken", "valid_until", models.DateField(default=in_a_year), preserve_default=False),
    ]
