"""How far the time of the journal is vouched for by somebody else, and when to ask a time-stamping authority."""

from datetime import datetime, timedelta
from enum import StrEnum

FIRST_PAUSE = timedelta(minutes=1)


class TrustState(StrEnum):
    """What is said of the newest seals."""

    WITNESSED = "witnessed"  # everything sealed is held by a linked node or covered by a time-stamp
    WAITING = "waiting"  # something is not yet, within the grace
    BEYOND_GRACE = "beyond_grace"  # something has waited longer than the grace: its time rests on this node's word


def trust_state(
    *,
    last_stamp_at: datetime | None,
    last_witness_at: datetime | None,
    oldest_unwitnessed_at: datetime | None,
    grace: timedelta,
    at: datetime,
) -> TrustState:
    """Return the state of trust in the journal's time at a moment.

    Args:
        last_stamp_at: when the newest time-stamp was taken; None: never.
        last_witness_at: when a linked node last said that it holds a checkpoint of ours; None: never.
        oldest_unwitnessed_at: when the oldest seal was made that neither covers; None: there is none.
        grace: how long a seal may wait. At exactly the grace it is still within.
        at: aware moment of the question.

    A witness that comes late does not make the time before it proven: what is told for each seal is when it was first
    covered (`queries`), and nothing is stamped a second time to look better.
    """
    if oldest_unwitnessed_at is not None:
        return TrustState.BEYOND_GRACE if at - oldest_unwitnessed_at > grace else TrustState.WAITING
    return TrustState.WAITING if last_stamp_at is None and last_witness_at is None else TrustState.WITNESSED


def stamp_is_due(
    *,
    newest_seal: int,
    stamped_seal: int,
    last_stamp_at: datetime | None,
    failures: int,
    last_failure_at: datetime | None,
    every: timedelta,
    at: datetime,
) -> bool:
    """Say whether the authority is asked now for a token over the newest seal.

    Args:
        newest_seal: number of the newest seal, 0 when there is none.
        stamped_seal: number of the newest seal that has a token, 0 when there is none.
        last_stamp_at: when that token was taken.
        failures: tries since then that failed; the pause doubles with each, from a minute up to `every`.
        last_failure_at: when the last of them failed.
        every: the least time between two tokens.
        at: aware moment of the question.

    A moment that lies before the last try means that a clock was wrong: then it is due, or it would wait for years.
    """
    if newest_seal <= stamped_seal:
        return False
    if last_stamp_at is not None and last_stamp_at <= at < last_stamp_at + every:
        return False
    if failures and last_failure_at is not None:
        pause = min(every, FIRST_PAUSE * 2 ** min(failures - 1, 20))
        return not last_failure_at <= at < last_failure_at + pause
    return True
