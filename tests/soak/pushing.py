"""Pushes of the soak: blobs, mounts and manifests over HTTP, in the ways in which clients send them."""

import asyncio
import random
import time
from dataclasses import dataclass

from revstore_async import Digest

from .images import Document, digest_of
from .model import Model, Write
from .tally import Tally
from .wire import Answer, Cut, Failed, Wire

LEASE = 10.0
"""The collector's lease in the soak, in seconds."""

PROMISE = LEASE / 2
"""Seconds for which an answer 200 to a HEAD promises a layer: the server renews older links."""

_AT_ONCE = 3


class LeaseOver(Exception):
    """The client took longer than the lease, and layers that it had found went. It begins anew."""


@dataclass(frozen=True, slots=True)
class Target:
    """The place of a push: a repository and a tag. A push by digest has no tag."""

    repository: str
    tag: str | None = None

    def path(self, document: Document) -> str:
        return f"/v2/{self.repository}/manifests/{self.tag or document.digest}"


class Pushing:
    """The pushes of one client."""

    def __init__(self, wire: Wire, model: Model, tally: Tally, chance: random.Random) -> None:
        self._wire = wire
        self._model = model
        self._tally = tally
        self._chance = chance

    async def push(self, document: Document, target: Target, mount_from: str | None = None) -> None:
        """Push a manifest with all that it refers to; the answers go into the model.

        Args:
            document: The manifest.
            target: Its place.
            mount_from: A repository from which the client tries to mount the blobs.

        Raises:
            Cut: The connection was cut too often.
            Failed: The tally has the failure.
        """
        for _ in range(10):
            try:
                await self._push_once(document, target, mount_from)
            except LeaseOver:
                self._tally.events["pushes that took longer than the lease"] += 1
            else:
                return
        self._tally.fail(f"a push to {target.repository} took longer than the lease ten times")
        raise Failed

    async def _push_once(self, document: Document, target: Target, mount_from: str | None) -> None:
        begin = time.monotonic()
        for child in document.children:
            await self._push_once(child, Target(target.repository), mount_from)
        turn = asyncio.Semaphore(_AT_ONCE)

        async def send(content: bytes) -> None:
            async with turn:
                await self._blob(content, target.repository, mount_from)

        async with asyncio.TaskGroup() as group:
            for content in {*document.blobs}:
                group.create_task(send(content))
        answer = await self.put(document, target)
        if answer.status != 201:
            if b"MANIFEST_BLOB_UNKNOWN" in answer.body and time.monotonic() - begin > PROMISE:
                raise LeaseOver
            took = time.monotonic() - begin
            self._tally.fail(f"the put {target.path(document)} got {answer}, {took:.1f} s after the begin")
            raise Failed

    async def put(self, document: Document, target: Target) -> Answer:
        """Put a manifest; the answer goes into the model."""
        tag = None if target.tag is None else self._model.tag(target.repository, target.tag)
        write = None if tag is None else tag.begin(document.digest, time.monotonic())
        try:
            answer = await self._wire.ask(
                "PUT",
                target.path(document),
                body=document.content,
                headers={"Content-Type": document.media_type},
            )
        except (Cut, Failed):
            if tag is not None and write is not None:
                tag.lose(write, time.monotonic())
            raise
        if target.tag is not None and write is not None:
            self._note(target.repository, target.tag, write, answer)
        return answer

    def _note(self, repository: str, name: str, write: Write, answer: Answer) -> None:
        tag, now = self._model.tag(repository, name), time.monotonic()
        if answer.status == 201:
            tag.acknowledge(write, now)
        elif answer.first:
            tag.refuse(write)
        else:
            tag.lose(write, now)

    async def _blob(self, content: bytes, repository: str, mount_from: str | None) -> None:
        digest = digest_of(content)
        if mount_from is not None:
            query = f"?mount={digest}&from={mount_from}"
            answer = await self._expect("POST", f"/v2/{repository}/blobs/uploads/{query}", {201, 202})
            self._tally.events["mounts" if answer.status == 201 else "mounts that became uploads"] += 1
            if answer.status == 202:
                await self._finish(answer.headers["location"], content, repository)
            return
        answer = await self._expect("HEAD", f"/v2/{repository}/blobs/{digest}", {200, 404})
        self._tally.events["layers found" if answer.status == 200 else "layers sent"] += 1
        if answer.status == 404:
            await self._upload(content, repository)

    async def _upload(self, content: bytes, repository: str) -> None:
        path = f"/v2/{repository}/blobs/uploads/"
        if self._chance.random() < 0.2:
            await self._expect("POST", f"{path}?digest={digest_of(content)}", {201}, content)
            return
        answer = await self._expect("POST", path, {202})
        await self._finish(answer.headers["location"], content, repository)

    async def _finish(self, location: str, content: bytes, repository: str) -> None:
        """Send the content in a way by chance; after a cut, which loses bytes, send it whole to a new upload."""
        digest = digest_of(content)
        way = self._chance.choice(["put", "patch", "chunks"])
        cuts = {"put": [], "patch": [len(content)], "chunks": [len(content) // 3, len(content)]}[way]
        try:
            start = 0
            for end in cuts:
                if end > start:
                    location = await self._patch(location, content[start:end], start)
                    start = end
            await self._close(location, digest, content[start:])
        except Cut:
            self._tally.events["uploads begun anew"] += 1
            path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
            await self._expect("POST", path, {201}, content)

    async def _patch(self, location: str, piece: bytes, start: int) -> str:
        headers = {"Content-Range": f"{start}-{start + len(piece) - 1}"}
        answer = await self._wire.ask("PATCH", location, body=piece, headers=headers, again=False)
        if answer.status == 416 and not answer.first:
            raise Cut  # an earlier try had its effect, and the answer was lost
        if answer.status != 202:
            self._tally.fail(f"PATCH of an upload got {answer}")
            raise Failed
        return answer.headers["location"]

    async def _close(self, location: str, digest: Digest, rest: bytes) -> None:
        path = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        answer = await self._wire.ask("PUT", path, body=rest, again=False)
        if answer.status in {404, 409, 416} and not answer.first:
            raise Cut
        if answer.status != 201:
            self._tally.fail(f"PUT of an upload got {answer}")
            raise Failed

    async def _expect(self, method: str, path: str, statuses: set[int], body: bytes | None = None) -> Answer:
        answer = await self._wire.ask(method, path, body=body)
        if answer.status not in statuses:
            self._tally.fail(f"{method} {path} got {answer}")
            raise Failed
        return answer
