"""Sign-in names: one spelling each, so that nobody is taken for another and everybody finds the own one."""

import re

from hiepdong.kernel.text import fold, nfc

LONGEST = 60
LONGEST_SHOWN = 120
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]*")


def one_name(typed: str) -> str:
    """Return the one spelling of a sign-in name: no space around it, small letters, NFC.

    >>> one_name(" Don-My-Ly ")
    'don-my-ly'
    """
    return nfc(typed.strip().lower())


def is_name(name: str) -> bool:
    """Say whether a name may be given: Latin letters (Vietnamese too), digits, dots, hyphens; nothing that cannot be seen.

    >>> is_name("don-my-ly"), is_name("đồn-mỹ-lý"), is_name("don my ly"), is_name("dоn-my-ly"), is_name("a\\u202eb")
    (True, True, False, False, False)
    """
    return len(name) <= LONGEST and _NAME.fullmatch(fold(name)) is not None and " " not in name


def is_shown_name(name: str) -> bool:
    """Say whether a name may stand on pages and in the journal: something that can be seen, on one line."""
    return bool(name.strip()) and len(name) <= LONGEST_SHOWN and name.isprintable()
