"""Requests of the clients of the soak, which come again as docker does."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TextIO

import aiohttp

from revstore_async import Digest

from .replicas import Replica
from .tally import Tally

PATIENCE = 120.0
"""Seconds for which a client comes again."""

TIMEOUT = aiohttp.ClientTimeout(total=60.0)

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Failed(Exception):
    """A request failed, and no injected fault explains it. The tally has the failure."""


class Cut(Exception):
    """The connection was cut by a kill; the client does not know whether the request had its effect."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status.
        headers: Its headers, their names in lower case.
        body: Its body.
        first: Whether it answers the first try; earlier tries of the request may have had their effect.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first: bool = True

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Wire:
    """The requests of one client.

    Args:
        session: The connections.
        replicas: The replicas; each request goes to any.
        tally: The counts.
        chance: The client's random numbers.
        log: Gets a line for each request about a manifest.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        replicas: list[Replica],
        tally: Tally,
        chance: random.Random,
        log: TextIO,
    ) -> None:
        self._session = session
        self._replicas = replicas
        self._tally = tally
        self._chance = chance
        self._log = log

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        again: bool = True,
    ) -> Answer:
        """Send a request. It comes again after 503 and 429, and after a cut connection if `again` says so.

        Raises:
            Cut: The connection was cut by a kill.
            Failed: The request failed for another reason, or longer than `PATIENCE`.
        """
        end = time.monotonic() + PATIENCE
        first = True
        replica = self._chance.choice(self._replicas)
        while True:
            try:
                answer = await self._once(replica, method, path, body, headers)
            except Cut:
                if not again or time.monotonic() > end:
                    raise
                await asyncio.sleep(self._chance.uniform(0.05, 0.5))
                replica = self._chance.choice([each for each in self._replicas if each is not replica])
            else:
                if answer.status not in {429, 503}:
                    return Answer(answer.status, answer.headers, answer.body, first)
                await self._wait(method, path, answer, end)
            first = False

    async def _wait(self, method: str, path: str, answer: Answer, end: float) -> None:
        kind = " for the collector" if b"the collector is deleting" in answer.body else ""
        self._tally.events[f"answers {answer.status}{kind}"] += 1
        if "retry-after" not in answer.headers:
            self._tally.fail(f"{method} {path} got {answer} without Retry-After")
            raise Failed
        if time.monotonic() > end:
            self._tally.fail(f"{method} {path} got {answer} for {PATIENCE} seconds")
            raise Failed
        await asyncio.sleep(float(answer.headers["retry-after"]) * self._chance.uniform(1, 1.2))

    async def _once(
        self, replica: Replica, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        lives, start = replica.lives, time.monotonic()
        try:
            async with self._session.request(
                method, replica.url + path, data=body, headers=headers, allow_redirects=False, timeout=TIMEOUT
            ) as answer:
                content = await answer.read()
                named = {name.lower(): value for name, value in answer.headers.items()}
                self._note(start, replica, f"{method} {path}", str(answer.status), body or content)
                return Answer(answer.status, named, content)
        except (aiohttp.ClientError, OSError) as error:
            self._note(start, replica, f"{method} {path}", type(error).__name__, body or b"")
            if replica.was_up_since(lives):
                self._tally.fail(f"{method} {path} on {replica.name}: {type(error).__name__}: {error}")
                raise Failed from error
            self._tally.events["connections cut by kills"] += 1
            raise Cut from error

    def _note(self, start: float, replica: Replica, asked: str, answered: str, manifest: bytes) -> None:
        if "/manifests/" in asked:
            times = f"{start:.3f} {time.monotonic():.3f} [{time.monotonic() - self._tally.start:.1f} s]"
            self._log.write(f"{times} {replica.name} {asked} {answered} {Digest.of(manifest)}\n")
