"""The console script `hiepdong`: Django's commands and ours under one name."""

import os
import sys
from importlib import metadata
from textwrap import fill

from django.core.management import BaseCommand, ManagementUtility, get_commands, load_command_class


class Utility(ManagementUtility):
    """Django's, which shows what an operator of a node needs and calls an unknown command a wrong call."""

    def main_help_text(self, commands_only: bool = False) -> str:
        """Return our commands with the first sentence of each; `help --commands` still names all of them."""
        if commands_only:
            return super().main_help_text(commands_only)
        ours = sorted(name for name, app in get_commands().items() if isinstance(app, str) and app.startswith("hiepdong."))
        lines = ["Type `hiepdong COMMAND --help` for one command; Django's own are named by `hiepdong help --commands`.", ""]
        for name in ours:
            first = load_command_class(get_commands()[name], name).help.split(". ")[0].rstrip(".")
            lines.append(fill(f"{first}.", 100, initial_indent=f"  {name:<15}", subsequent_indent=" " * 17))
        return "\n".join([*lines, "", "Exit codes of all of them: 0 done, 1 refused with reasons, 2 wrong call."])

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command; exit with 2 where there is none, after saying which is meant."""
        try:
            return super().fetch_command(subcommand)
        except SystemExit as stopped:
            raise SystemExit(2) from stopped


def main() -> None:
    """Run one command; exit 0 done, 1 refused with reasons, 2 wrong call."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hiepdong.config.settings")
    if sys.argv[1:] in (["--version"], ["version"]):
        sys.stdout.write(f"hiepdong {metadata.version('hiepdong')}\n")
        return
    Utility(["hiepdong", *sys.argv[1:]]).execute()
