"""The end of the soak: everything that was acknowledged is whole, and nothing else is in the store."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from revstore_async import Digest

from .clients import KEPT
from .images import Document, all_documents, digest_of
from .model import Model
from .pulling import Pulling
from .tally import Tally
from .wire import Failed, Wire


@dataclass(frozen=True, slots=True)
class Whole:
    """The manifests that were found whole.

    Attributes:
        tags: The digests of all tags by repository and name.
        artifacts: The number of artifacts.
        signatures: The number of signatures.
    """

    tags: dict[tuple[str, str], Digest]
    artifacts: int
    signatures: int


async def everything_is_whole(wire: Wire, model: Model, tally: Tally) -> Whole:
    """Pull all tags and all artifacts; the tally has the failures."""
    pulling = Pulling(wire, model, tally)
    tags = {}
    for repository, tag in [*model.tags]:
        try:
            if await pulling.pull(repository, tag):
                answer = await wire.ask("HEAD", f"/v2/{repository}/manifests/{tag}")
                tags[repository, tag] = Digest(answer.headers["docker-content-digest"])
        except Failed:
            continue
    for document, subject in [*model.artifacts.values()]:
        await _artifact_is_whole(wire, tally, document, subject)
    for digest, signatures in model.signatures.items():
        await _signatures_are_there(wire, tally, digest, signatures)
    return Whole(tags, len(model.artifacts), sum(map(len, model.signatures.values())))


async def _signatures_are_there(wire: Wire, tally: Tally, digest: Digest, signatures: set[str]) -> None:
    answer = await wire.ask("GET", f"/v2/{KEPT}/_revstore/signatures/{digest}")
    there = {entry["signature"] for entry in json.loads(answer.body)["signatures"]}
    if lost := signatures - there:
        tally.fail(f"{len(lost)} signatures of {digest} are lost")


async def _artifact_is_whole(wire: Wire, tally: Tally, document: Document, subject: Document) -> None:
    listed = await wire.ask("GET", f"/v2/{KEPT}/referrers/{subject.digest}")
    digests = [entry["digest"] for entry in json.loads(listed.body)["manifests"]]
    if document.digest not in digests:
        tally.fail(f"the artifact {document.digest} is not among the referrers of {subject.digest}")
    parts = [(f"manifests/{document.digest}", document.content)]
    parts += [(f"blobs/{digest_of(content)}", content) for content in document.blobs]
    for part, content in parts:
        answer = await wire.ask("GET", f"/v2/{KEPT}/{part}")
        if (answer.status, answer.body) != (200, content):
            tally.fail(f"of the artifact {document.digest}, GET {part} got {answer.status}")


def garbage(whole: Whole, model: Model, names: list[str]) -> list[str]:
    """Return the objects of the bucket that no manifest found whole needs. Uploads and tags do not count.

    Args:
        whole: The manifests that stay.
        model: The model, with the artifacts.
        names: The names of all objects of the bucket.
    """
    kept = {(repository, all_documents()[digest]) for (repository, _), digest in whole.tags.items()}
    kept |= {(KEPT, document) for document, _ in model.artifacts.values()}
    blobs: set[str] = set()
    links: set[tuple[str, str, str]] = set()
    for repository, document in kept:
        for manifest in (document, *document.children):
            blobs |= {digest_of(content).hex for content in (manifest.content, *manifest.blobs)}
            links |= {(repository, "_layers", digest_of(content).hex) for content in manifest.blobs}
            links.add((repository, "_manifests", manifest.digest.hex))
    left = []
    for name in names:
        parts = PurePosixPath(name).parts
        link = _link(parts)
        if link is not None and link not in links:
            left.append(name)
        elif link is not None and "signatures" in parts:
            blobs.add(parts[-2])
    stored = [name for name in names if "/v2/blobs/" in name]
    return left + [name for name in stored if PurePosixPath(name).parts[-2] not in blobs]


def _link(parts: tuple[str, ...]) -> tuple[str, str, str] | None:
    """Return the repository, the kind and the digest that a link of a layer, or one at a revision, belongs to."""
    if "repositories" not in parts:
        return None
    behind = parts[parts.index("repositories") + 1 :]
    place = next(number for number, part in enumerate(behind) if part.startswith("_"))
    if behind[place] == "_layers" or behind[place : place + 2] == ("_manifests", "revisions"):
        first = next(part for part in behind[place:] if len(part) == 64)
        return "/".join(behind[:place]), behind[place], first
    return None
