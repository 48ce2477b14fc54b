"""The clients of the soak, by class."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from revstore_async import serialise_signatures

from .images import ARTIFACTS, IMAGES, INDEXES, Document, all_documents, artifact, image, index, signature
from .model import Model
from .pulling import Pulling
from .pushing import Pushing, Target
from .tally import Tally
from .wire import Cut, Failed, Wire

SHARED: Final = ("soak/one", "soak/two")
"""Repositories whose tags move all the time."""

VOLATILE: Final = "soak/volatile"
"""The repository in which clients delete manifests by digest."""

EXPIRING: Final = "ci/build"
"""The repository whose tags a retention rule lets expire."""

KEPT: Final = "soak/kept"
"""The repository of the subjects of the artifacts; its tags never move."""

TAGS: Final = 12
EXPIRES_AFTER: Final = 30.0
"""Seconds after which a tag of `EXPIRING` may go."""

KEYS: Final = 8
"""The number of signing keys."""

PAUSE: Final = 0.3
"""The longest pause of a client between two operations, in seconds."""

Operation = Callable[[], Awaitable[str]]


@dataclass(slots=True)
class Client:
    """One client; each operation is a method that returns its kind in a word."""

    name: str
    wire: Wire
    model: Model
    tally: Tally
    chance: random.Random
    pushing: Pushing = field(init=False)
    pulling: Pulling = field(init=False)

    def __post_init__(self) -> None:
        self.pushing = Pushing(self.wire, self.model, self.tally, self.chance)
        self.pulling = Pulling(self.wire, self.model, self.tally)

    async def work(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        operations = CLASSES[self.name]
        while not stop.is_set():
            operation = self.chance.choice(operations)
            try:
                kind = await operation(self)
            except Cut:
                kind = "given up after cut connections"
            except Failed:
                kind = "failed"
            except ExceptionGroup as error:  # of blobs that went at once
                if error.split((Cut, Failed))[1] is not None:
                    raise
                kind = "failed" if error.subgroup(Failed) else "given up after cut connections"
            self.tally.operations[self.name, kind] += 1
            await asyncio.sleep(self.chance.uniform(0, PAUSE))

    def _tag(self) -> str:
        return f"t{self.chance.randrange(TAGS)}"

    def _target(self) -> Target:
        return Target(self.chance.choice((*SHARED, VOLATILE)), self._tag())

    async def push(self) -> str:
        """Push an image, as docker does."""
        await self.pushing.push(image(self.chance.randrange(IMAGES)), self._target())
        return "pushes"

    async def push_expiring(self) -> str:
        """Push an image to a tag that will expire."""
        target = Target(EXPIRING, f"run-{self.chance.randrange(10 * TAGS)}")
        self.model.tag(target.repository, target.tag or "", expires=EXPIRES_AFTER - 3)
        await self.pushing.push(image(self.chance.randrange(IMAGES)), target)
        return "pushes of expiring tags"

    async def push_index(self) -> str:
        """Push an index with its images."""
        target = Target(self.chance.choice(SHARED), self._tag())
        await self.pushing.push(index(self.chance.randrange(INDEXES)), target)
        return "pushes of indexes"

    async def push_artifact(self) -> str:
        """Push an artifact that refers to a manifest that stays."""
        subject = image(self.chance.randrange(3))
        pushed = artifact(self.chance.randrange(ARTIFACTS), subject)
        await self.pushing.push(pushed, Target(KEPT))
        self.model.artifacts[pushed.digest] = (pushed, subject)
        return "pushes of artifacts"

    async def sign(self) -> str:
        """Add a signature to a manifest."""
        repository = self.chance.choice((KEPT, *SHARED))
        document = image(self.chance.randrange(3)) if repository == KEPT else self._known(repository)
        if document is None:
            return "signatures without a manifest"
        signed = signature(document.content, self.chance.randrange(KEYS))
        path = f"/v2/{repository}/_revstore/signatures/{document.digest}"
        answer = await self.wire.ask("POST", path, body=serialise_signatures([signed]))
        if answer.status == 404 and not self._is_there(repository, document):
            return "signatures of manifests that went meanwhile"
        if answer.status != 201:
            self.tally.fail(f"POST {path} got {answer}")
            raise Failed
        if repository == KEPT:
            self.model.signatures.setdefault(document.digest, set()).add(signed.text)
        return "signatures"

    async def mount(self) -> str:
        """Push an image, and mount its blobs from another repository."""
        there = self.chance.choice(SHARED)
        found = self._known(there)
        document = found or image(self.chance.randrange(IMAGES))
        await self.pushing.push(document, self._target_of(document), mount_from=there)
        return "pushes with mounts"

    async def move(self) -> str:
        """Put a manifest that a tag of the repository has under another tag, without a look at its layers."""
        repository = self.chance.choice((*SHARED, VOLATILE))
        document = self._known(repository)
        if document is None:
            return "moves without a tag to move"
        answer = await self.pushing.put(document, Target(repository, self._tag()))
        if answer.status == 201:
            return "moves"
        if b"MANIFEST_BLOB_UNKNOWN" not in answer.body or self._is_there(repository, document):
            self.tally.fail(f"a move in {repository} to {document.digest} got {answer}")
            raise Failed
        return "moves to manifests that went meanwhile"

    async def delete_tag(self) -> str:
        """Delete a tag."""
        target = self._target()
        tag = self.model.tag(target.repository, target.tag or "")
        write = tag.begin(None, time.monotonic())
        try:
            answer = await self.wire.ask("DELETE", f"/v2/{target.repository}/manifests/{target.tag}")
        except (Cut, Failed):
            tag.lose(write, time.monotonic())
            raise
        now = time.monotonic()
        if answer.status not in {202, 404}:
            tag.lose(write, now)
            self.tally.fail(f"the deletion of {target.repository}:{target.tag} got {answer}")
            raise Failed
        if answer.status == 404 and answer.first:
            tag.refuse(write)
            values = self.model.values(target.repository, target.tag or "", write.start, now)
            if None not in values:
                self.tally.fail(f"the deletion of {target.repository}:{target.tag} found no tag")
                raise Failed
            return "deletions of absent tags"
        tag.acknowledge(write, now)
        return "deletions of tags"

    async def delete_manifest(self) -> str:
        """Delete a manifest by its digest; the tags that point at it go along."""
        document = self._known(VOLATILE)
        if document is None:
            return "deletions without a manifest"
        digest = document.digest
        self.model.begin_deletion(VOLATILE, digest)
        try:
            answer = await self.wire.ask("DELETE", f"/v2/{VOLATILE}/manifests/{digest}")
        except (Cut, Failed):
            self.model.end_deletion(VOLATILE, digest, time.monotonic() + 30)
            raise
        now = time.monotonic()
        self.model.end_deletion(VOLATILE, digest, now if answer.first else now + 30)
        if answer.status not in {202, 404}:
            self.tally.fail(f"the deletion of {digest} got {answer}")
            raise Failed
        return "deletions of manifests"

    async def pull(self) -> str:
        """Pull a tag, and compare all of it."""
        repository, tag = self.chance.choice([*self.model.tags])
        return "pulls" if await self.pulling.pull(repository, tag) else "pulls of absent tags"

    def _known(self, repository: str) -> Document | None:
        """Return the manifest of a tag of the repository, as the client knows it."""
        now = time.monotonic()
        found = [
            value
            for named, tag in self.model.tags
            if named == repository
            for value in self.model.values(named, tag, now, now)
            if value is not None
        ]
        return all_documents()[self.chance.choice(found)] if found else None

    def _target_of(self, document: Document) -> Target:
        """Return a target; no index goes where manifests are deleted by digest."""
        target = self._target()
        return Target(SHARED[0], target.tag) if document.children else target

    def _is_there(self, repository: str, document: Document) -> bool:
        """Return whether a tag has pointed at the manifest for the last seconds, and at no other."""
        now = time.monotonic()
        return any(
            self.model.values(named, tag, now - 60, now) == {document.digest}
            for named, tag in self.model.tags
            if named == repository
        )


CLASSES: Final[dict[str, list[Callable[[Client], Awaitable[str]]]]] = {
    "pushers": [
        *(Client.push, Client.push, Client.push_expiring),
        *(Client.push_index, Client.push_artifact, Client.sign),
    ],
    "mounters": [Client.mount],
    "movers": [Client.move],
    "deleters": [Client.delete_tag, Client.delete_tag, Client.delete_manifest],
    "pullers": [Client.pull],
}
"""The operations of each class; one that stands twice comes twice as often."""

NUMBERS: Final = {"pushers": 5, "mounters": 3, "movers": 2, "deleters": 3, "pullers": 3}
"""The number of clients of each class: 16 in all."""
