"""Pulls of the soak: everything is compared byte for byte."""

import time
from dataclasses import dataclass

from revstore_async import Digest

from .images import Document, all_documents, digest_of
from .model import Model
from .tally import Tally
from .wire import Answer, Failed, Wire

HISTORY = 20.0
"""Seconds for which the history of a tag keeps its manifests in the soak."""

_ANY = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Sight:
    """A tag as a client saw it.

    Attributes:
        repository: Its repository.
        tag: Its name.
        digest: The digest that it pointed at.
        start: The time of the request.
        end: The time of the answer.
    """

    repository: str
    tag: str
    digest: Digest
    start: float
    end: float


class Pulling:
    """The pulls of one client."""

    def __init__(self, wire: Wire, model: Model, tally: Tally) -> None:
        self._wire = wire
        self._model = model
        self._tally = tally

    async def pull(self, repository: str, tag: str) -> bool:
        """Pull a tag whole and compare; return whether there was such a tag.

        Raises:
            Cut: The connection was cut too often.
            Failed: The tag has a wrong value, or its manifest is not whole; the tally has the failure.
        """
        start = time.monotonic()
        path = f"/v2/{repository}/manifests/{tag}"
        answer = await self._wire.ask("GET", path, headers={"Accept": _ANY})
        end = time.monotonic()
        digest = digest_of(answer.body) if answer.status == 200 else None
        if answer.status not in {200, 404}:
            self._fail(f"GET {path} got {answer}")
        values = self._model.values(repository, tag, start, end)
        if digest not in values:
            shown = ", ".join(str(value) for value in values)
            self._fail(f"GET {path} got {digest}, and the tag was at one of: {shown}")
        if digest is None:
            return False
        sight = Sight(repository, tag, digest, start, end)
        await self._rest(all_documents()[digest], sight)
        return True

    async def _rest(self, document: Document, sight: Sight) -> None:
        for content in document.blobs:
            await self._same(f"blobs/{digest_of(content)}", content, sight)
        for child in document.children:
            await self._same(f"manifests/{child.digest}", child.content, sight)
            await self._rest(child, sight)

    async def _same(self, part: str, content: bytes, sight: Sight) -> None:
        answer = await self._wire.ask("GET", f"/v2/{sight.repository}/{part}", headers={"Accept": _ANY})
        if answer.status == 200 and answer.body == content:
            return
        if answer.status == 404 and self._may_be_gone(sight):
            self._tally.events["pulls of manifests that went meanwhile"] += 1
            return
        self._fail(f"{sight.repository}:{sight.tag} is {sight.digest}, and {_shown(part, answer)}")

    def _may_be_gone(self, sight: Sight) -> bool:
        """Return whether the manifest may be gone: a client deleted it, or its tag left it long ago."""
        now = time.monotonic()
        if self._model.was_deleted(sight.repository, sight.digest, sight.start):
            return True
        left = self._model.values(sight.repository, sight.tag, now, now) != {sight.digest}
        return left and now - sight.end > HISTORY

    def _fail(self, sentence: str) -> None:
        self._tally.fail(sentence)
        raise Failed


def _shown(part: str, answer: Answer) -> str:
    return f"GET {part} got {answer.status} with {len(answer.body)} other bytes"
