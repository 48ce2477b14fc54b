"""Tells a caller that a try of its operation got no answer, although a later try succeeded.

A server may carry out such a try later. That matters to a deletion: the key may have been written anew by then.
"""

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self


class lost_answers:  # noqa: N801 (it is used as a function is)
    """A block that counts the tries without an answer of its operations, those of its child tasks included.

    Attributes:
        count: The tries so far.
    """

    __slots__ = ("_token", "count")

    def __init__(self) -> None:
        self.count: int = 0
        self._token: Token[lost_answers | None] | None = None

    def __enter__(self) -> Self:
        self._token = _COUNTING.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _COUNTING.reset(self._token)
            self._token = None


_COUNTING: ContextVar[lost_answers | None] = ContextVar("revstore_lost_answers", default=None)


def note_lost_answer() -> None:
    """Note that a request was sent and got no answer; for drivers, before they try it again."""
    counting = _COUNTING.get()
    if counting is not None:
        counting.count += 1
