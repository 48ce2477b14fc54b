"""Clients that push images while something else is at work on the store, as docker does it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from revstore_async import Digest
from revstore_async.formats.descriptors import OCI_MANIFEST
from revstore_async.formats.names import RepositoryName

from .content import manifest
from .http import Client, Refused
from .operations import push

_TRIES = 10
"""Times that a client asks when it is told to come again."""
_LONGEST = 5.0
"""The most seconds before a client comes again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that a server acknowledged.

    Attributes:
        repository: Its repository.
        content: The manifest.
        blobs: The digests of its config and layers.
    """

    repository: RepositoryName
    content: bytes
    blobs: tuple[Digest, ...]


@dataclass(slots=True)
class Pushes:
    """Pushes of some clients.

    The config and a layer of each image are new. Another layer lies in the repository already, and no manifest
    needs it: the client finds it there and does not send it.

    Attributes:
        layers: The layers that lie there, with their repositories.
        seed: The seed of the new content.
        pause: Seconds between two pushes of a client.
        pushed: The images that the server acknowledged.
        failures: The reasons of all pushes that failed.
        again: How often the server told a client to come again.
    """

    layers: Iterator[tuple[RepositoryName, bytes]]
    seed: int
    pause: float = 0.2
    pushed: list[Pushed] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    again: int = 0

    async def go_on(self, client: Client, mark: str, enough: asyncio.Event) -> None:
        """Push as one client, until the event is set or all layers are used.

        Args:
            client: The client of the server.
            mark: Makes the tags and the content of this client different from those of others.
            enough: Ends the pushes after the one under way.
        """
        chance = random.Random(f"{self.seed} {mark}")
        for number, (repository, layer) in enumerate(self.layers):
            if enough.is_set():
                return
            contents = [chance.randbytes(300), chance.randbytes(20_000), layer]
            try:
                await self._push(client, repository, contents, f"{mark}-{number}")
            except (OSError, Refused) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(self.pause)

    async def _push(
        self, client: Client, repository: RepositoryName, contents: Sequence[bytes], mark: str
    ) -> None:
        path = f"/v2/{repository}"
        digests = [Digest.of(content) for content in contents]
        for digest, content in zip(digests, contents, strict=True):
            await self._insist(client, partial(_push_blob, client, path, digest, content))
        parts = [(digest, len(content)) for digest, content in zip(digests, contents, strict=True)]
        document = manifest(parts, mark)
        put = partial(client.ask, headers={"Content-Type": OCI_MANIFEST}, body=document, expect=(201,))
        await self._insist(client, partial(put, "PUT", f"{path}/manifests/pushed-{mark}"))
        self.pushed.append(Pushed(repository, document, tuple(digests)))

    async def _insist(self, client: Client, step: Callable[[], Awaitable[object]]) -> None:
        """Do a step, and do it again while the server tells the client to come again."""
        client.close()  # the server may be about to close a connection that was idle
        for left in reversed(range(_TRIES)):
            try:
                await step()
            except Refused as refused:
                after = refused.answer.header("retry-after")
                if refused.answer.status != HTTPStatus.SERVICE_UNAVAILABLE or not after or not left:
                    raise
                self.again += 1
                await asyncio.sleep(min(float(after), _LONGEST))
                client.close()
            else:
                return


async def _push_blob(client: Client, path: str, digest: Digest, content: bytes) -> None:
    found = await client.ask("HEAD", f"{path}/blobs/{digest}", expect=(200, 404))
    if found.status == HTTPStatus.NOT_FOUND:
        await push(client, path, content, digest)
