"""How a check ends, and which verdict that is. A check returns its observation, or raises."""

from collections.abc import Awaitable, Callable

from ..errors import RevstoreError, StorageFailure
from .findings import Verdict


class Broken(Exception):
    """A check found something else than the contract says."""


class Noted(Exception):
    """A check found something that the store's operator should know."""


class Undecided(Exception):
    """A check could not find out how the store behaves."""


def must(holds: object, otherwise: str) -> None:
    """Raise `Broken` with a text where something does not hold."""
    if not holds:
        raise Broken(otherwise)


def may_pass(error: Exception) -> bool:
    """Return whether an error is temporary and proves nothing about the store."""
    return isinstance(error, StorageFailure) and error.retryable


async def judged(attempt: Callable[[], Awaitable[str]]) -> tuple[Verdict, str]:
    """Make an attempt and return the verdict with its detail. Cancellation is the only error that leaves it."""
    try:
        return Verdict.HONOURED, await attempt()
    except Noted as found:
        return Verdict.NOTED, str(found)
    except Undecided as found:
        return Verdict.UNDECIDED, str(found)
    except Broken as found:
        return Verdict.BROKEN, str(found)
    except RevstoreError as error:
        return Verdict.UNDECIDED if may_pass(error) else Verdict.BROKEN, str(error)
    except Exception as error:  # noqa: BLE001 - a driver's defect is a finding too, and the other checks go on
        return Verdict.BROKEN, f"{type(error).__name__}: {error}"
