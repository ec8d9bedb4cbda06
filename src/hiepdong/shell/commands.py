"""What the commands share: a refusal is a sentence with a hint and exit code 1, never a traceback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.kernel.errors import DomainError, gettext_noop

NOT_READY = "Cơ sở dữ liệu của nút chưa sẵn sàng: hãy chạy `hiepdong setup`, hoặc xem lại HIEPDONG_DATA, HIEPDONG_DATABASE_URL."


UNFINISHED = "restore-unfinished"
"""Name of the file in the data folder that says: a restore began here and was cut off."""


class RestoreInterrupted(DomainError):
    """The data folder holds half a node."""

    code = "shell.restore_interrupted"
    message = gettext_noop("A restore into %(folder)s was interrupted: what is there is half a node.")
    hint = gettext_noop("Empty the folder (with PostgreSQL the database too) and run `hiepdong restore` again.")


def refuse_half_node() -> None:
    """Refuse to work on what an interrupted restore left behind.

    Raises:
        RestoreInterrupted: as it says.
    """
    if (Path(settings.HIEPDONG_DATA) / UNFINISHED).exists():
        raise RestoreInterrupted(folder=settings.HIEPDONG_DATA)


def told(error: Exception) -> str:
    """Return a refusal in the language of the node: what is wrong, and what to do."""
    if not isinstance(error, DomainError):
        return str(error)
    with override("vi"):
        facts = error.facts
        return " ".join(_(text) % facts if facts else _(text) for text in (error.message, error.hint) if text)


def bytes_of(path: Path) -> bytes:
    """Return the bytes of a file named on the command line; one that cannot be read is a wrong call."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", returncode=2) from error


@contextmanager
def stopped_in_order(hint: str) -> Iterator[None]:
    """Turn Ctrl+C and a stop of the service into a refusal: a sentence that says what became of it and how to go on."""

    def stop(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if main else None
    try:
        yield
    except KeyboardInterrupt as error:
        raise CommandError(hint, returncode=1) from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


class PlainCommand(BaseCommand):
    """A command whose refusals are told in words. Exit code 0: done; 1: refused, with the reason; 2: wrong call."""

    def get_version(self) -> str:
        """Return the version of the product, not of Django."""
        return metadata.version("hiepdong")

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            refuse_half_node()
            return super().execute(*args, **options)
        except DomainError as error:
            raise CommandError(told(error), returncode=1) from error
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(f"{NOT_READY} ({str(error).strip().splitlines()[0]})", returncode=1) from error
        except OSError as error:
            raise CommandError(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), returncode=1) from error
