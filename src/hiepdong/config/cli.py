"""The console script `hiepdong`: Django's commands and ours under one name."""

import os
import sys


def main() -> None:
    """Run one command; exit 0 done, 1 refused with reasons, 2 wrong call."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hiepdong.config.settings")
    from django.core.management import ManagementUtility

    ManagementUtility(["hiepdong", *sys.argv[1:]]).execute()
