"""Many writers at once with one condition, judged by the answers that they got."""

from collections.abc import Awaitable, Callable

from ..concurrency import gather
from ..driver import Condition, Driver, FileInfo
from ..errors import ConditionFailed, KeyNotFound
from .judging import Undecided, may_pass, must

Write = Callable[[str, bytes, Condition], Awaitable[FileInfo]]
"""Writes a content under a key on a condition; it may pad the content with full stops."""


async def contended(driver: Driver, write: Write, condition: Condition, key: str, writers: int) -> str:
    """Let writers contend for a key; return the observation as text.

    A writer that got no answer may have won or not. The content under the key at the end tells of one that did.

    Raises:
        Broken: Not exactly one has won, for all that is known.
        Undecided: No writer is known to have won, and some got no answer.
        Exception: An error of a writer that no later try will help.
    """

    async def told(number: int) -> bool | Exception:
        try:
            await write(key, _content(number), condition)
        except ConditionFailed:
            return False
        except Exception as error:  # noqa: BLE001 - raised below, when no writer is left that may write yet
            return error
        return True

    outcomes = await gather(*(told(number) for number in range(writers)))
    winners = [number for number, outcome in enumerate(outcomes) if outcome is True]
    unanswered = {
        number: outcome for number, outcome in enumerate(outcomes) if isinstance(outcome, Exception)
    }
    must(len(winners) <= 1, f"{len(winners)} of {writers} writers at once were told that they won")
    lasting = [error for error in unanswered.values() if not may_pass(error)]
    if lasting:
        del outcomes, unanswered  # the error's traceback holds this frame, which must not hold the error
        raise lasting.pop(0)
    standing = await _standing(driver, key, writers)
    if winners:
        must(standing == winners[0], "something else stands than what the winner wrote")
    elif standing is None and unanswered:
        first = next(iter(unanswered.values()))
        raise Undecided(f"nobody won of {writers} writers at once, {len(unanswered)} got no answer: {first}")
    else:
        must(standing is not None, f"none of {writers} writers at once was told that it won")
        must(standing in unanswered, "the content of a writer stands that was told that it lost")
    return f"one winner of {writers}" + (f", {len(unanswered)} without an answer" if unanswered else "")


def _content(number: int) -> bytes:
    return f"writer {number}".encode()


async def _standing(driver: Driver, key: str, writers: int) -> int | None:
    """Return the writer of the content under the key; None if no writer wrote it."""
    try:
        content = (await driver.get(key)).content.rstrip(b".")
    except KeyNotFound:
        return None
    return next((number for number in range(writers) if content == _content(number)), None)
