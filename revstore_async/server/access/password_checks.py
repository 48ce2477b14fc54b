"""Checks of passwords: in few threads, with bounded queues, and the same check only once at a time."""

import asyncio
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import bcrypt
from anyio import CapacityLimiter

from ...concurrency import in_thread, settled
from ...errors import TooManyAttempts
from ...shared_reads import SharedReads

WAITING: Final = 64
"""Checks that wait for a thread at most."""

ASKING: Final = 1000
"""Requests that wait for checks at most; requests with the same credentials wait for the same check."""

LATER: Final = 1.0
"""Seconds after which a client without room may try again."""

_COSTLIEST: Final = 60.0  # seconds that a hash takes at most, on any machine


class PasswordChecks:
    """Compares passwords with their hashes, in half as many threads as there are processors.

    Args:
        waiting: Checks that wait for a thread at most; None for any number.
        asking: Requests that wait at most; None for any number.
    """

    def __init__(self, waiting: int | None = None, asking: int | None = None) -> None:
        threads = max(1, (os.cpu_count() or 2) // 2)
        self._turns = asyncio.Semaphore(threads)
        self._threads: Final = CapacityLimiter(threads)
        self._shared: Final[SharedReads[bool]] = SharedReads()
        self._room_to_wait: Final = _Room(waiting)
        self._room_to_ask: Final = _Room(asking)

    @property
    def idle(self) -> bool:
        """Whether no check is under way or waits."""
        return self._shared.idle

    async def check(
        self, question: Hashable, password: bytes, hashed: bytes, known: Callable[[], bool]
    ) -> bool:
        """Return whether a password has this hash.

        Cancellation: a waiting check is given up. A check that has begun holds its thread to its end.

        Args:
            question: Requests with the same question share a check.
            password: The password.
            hashed: The hash.
            known: Says at the check's turn whether the password is known to be right by now. `check` raises its
                errors.

        Raises:
            TooManyAttempts: There is no room to wait.
        """
        with self._room_to_ask.taken():
            return await self._shared.share(question, partial(self._check, password, hashed, known))

    async def _check(self, password: bytes, hashed: bytes, known: Callable[[], bool]) -> bool:
        with self._room_to_wait.taken():
            await self._turns.acquire()
        try:
            if known():
                return True
            checking = in_thread(bcrypt.checkpw, password, hashed, limiter=self._threads)
            # After a cancellation the thread goes on, and must not make room for another before its end.
            return await settled(checking, grace=_COSTLIEST)
        finally:
            self._turns.release()


class _Room:
    """The room for a number of requests at once."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._count = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        if self._limit is not None and self._count >= self._limit:
            raise TooManyAttempts("too many passwords are being checked", LATER)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
