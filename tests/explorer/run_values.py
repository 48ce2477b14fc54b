"""The values of a run of the explorer, and the texts of its log."""

import asyncio
import re
from dataclasses import dataclass
from typing import ClassVar

from revstore_async.driver import File, FileInfo, Page
from revstore_async.errors import RevstoreError, Unavailable

from .explored_store import ExploredStore
from .parking import Operation


@dataclass(eq=False)
class GivenUp(Unavailable):
    """The explorer has seen enough of this run."""

    retryable: ClassVar[bool] = False


@dataclass(eq=False, slots=True)
class Parked:
    """An operation that waits for its turn.

    Attributes:
        actor: The number of its actor; a number beyond the actors for the store itself.
        task: The name of its task.
        number: How many operations came before.
        operation: The operation.
        turn: Whether its answer is lost, once its turn has come.
        end: The time after which the store drops it; None for an operation of an actor.
    """

    actor: int
    task: str
    number: int
    operation: Operation
    turn: "asyncio.Future[bool]"
    end: float | None = None


@dataclass(slots=True)
class Call:
    """One call of an actor, as it was seen from outside.

    Attributes:
        actor: Which actor's.
        name: What it is called.
        after: The calls that had been answered when its first operation had its effect; None before that.
        answer: What it returned or raised.
        done: Whether it was answered.
    """

    actor: int
    name: str
    after: frozenset[int] | None = None
    answer: object = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store after so many steps."""

    steps: int
    store: ExploredStore


def said(answer: object) -> str:
    """Return an answer in few words."""
    if isinstance(answer, File):
        return f"{short(answer.content[:80].decode(errors='replace'))} ({answer.info.etag})"
    if isinstance(answer, FileInfo):
        return answer.etag
    if isinstance(answer, Page):
        return f"{len(answer.entries)} entries"
    if isinstance(answer, RevstoreError):
        return short(f"{type(answer).__name__}: {answer}")
    return short(" ".join(str(answer).split())[:160])


def short(text: str) -> str:
    """Return a text with shorter digests and keys."""
    text = re.sub(r"docker/registry/(?:v2/)?", "", text)
    return re.sub(r"([0-9a-f]{4})[0-9a-f]{28,124}", r"\1", text)
