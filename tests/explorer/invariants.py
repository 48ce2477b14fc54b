"""The rules for a registry after calls at once, and for each state of its store on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from revstore_async import Digest, Registry, Repository
from revstore_async.errors import Damaged, ManifestUnknown, NotFound, RevstoreError, TagUnknown, UploadUnknown
from revstore_async.formats.manifests import read_manifest
from revstore_async.policy import Policy
from revstore_async.tags.current import is_delete_marker

from .acts import NAME, SOURCE, Act, Contents, Document, answer, unknown
from .event_loop import run
from .explored_store import ExploredStore
from .parking import PlainDriver
from .schedule import Call, Life, Run


@dataclass(frozen=True, slots=True)
class Known:
    """The things that a scenario may leave in a registry.

    Attributes:
        documents: The manifests, by digest.
        layers: The layers, by digest.
        uploads: The uploads that were begun.
        tags: The tags.
        layers_may_go: Whether a call deletes layers.
    """

    documents: dict[str, Document]
    layers: dict[str, bytes]
    uploads: tuple[str, ...] = ()
    tags: tuple[str, ...] = ("latest",)
    layers_may_go: bool = False


@dataclass(slots=True)
class Sight:
    """A registry as its readers see it.

    Attributes:
        contents: What it holds.
        history: Of each tag.
        referrers: Of each subject.
        uploads: The bytes of each upload.
        wrong: What is there by half.
        dangling: The tags that point at nothing.
    """

    contents: Contents
    history: dict[str, list[str | None]] = field(default_factory=dict)
    referrers: dict[str, frozenset[str]] = field(default_factory=dict)
    uploads: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)


def look(store: ExploredStore, known: Known, policy: Policy) -> Sight:
    """Look at everything in a store, as readers do."""
    return run(_look(store.copy(), known, policy))


async def _look(store: ExploredStore, known: Known, policy: Policy) -> Sight:
    async with Registry(PlainDriver(store), policy=policy) as registry:
        repository = registry.repository(NAME)
        sight = Sight(Contents())
        revisions = {}
        async for info in repository.revisions.enumerate():
            signatures = await _revision(repository, info.digest, known, sight)
            if signatures is not None:
                revisions[str(info.digest)] = signatures
        tags = {}
        for tag in known.tags:
            if found := await _tag(repository, tag, sight):
                tags[tag] = found
        layers = {
            (name, digest)
            for name in (NAME, SOURCE)
            for digest, content in known.layers.items()
            if await _layer(registry.repository(name), Digest(digest), content, sight)
        }
        for subject in {each.subject for each in known.documents.values() if each.subject}:
            page = await repository.referrers.list(subject)
            sight.wrong += [f"an unreadable referrer: {error!r}" for error in page.unreadable]
            sight.referrers[subject] = frozenset(str(each.descriptor.digest) for each in page.referrers)
        for upload in known.uploads:
            size = await _upload(repository, upload)
            if size is not None:
                sight.uploads[upload] = size
        sight.contents = Contents(tags, revisions, frozenset(layers))
        return sight


async def _revision(
    repository: Repository, digest: Digest, known: Known, sight: Sight
) -> frozenset[str] | None:
    """Look at a revision that is listed; return its signatures."""
    try:
        manifest = await repository.manifests.get(digest)
    except RevstoreError as error:
        sight.wrong.append(f"a revision by half: {type(error).__name__}")
        return None
    document = known.documents[digest]
    if document.media_type not in {None, manifest.media_type}:
        sight.wrong.append("a revision without its media type")
    for blob in read_manifest(document.content, document.media_type).blobs:
        if not known.layers_may_go and not await _is_there(repository, blob.digest):
            sight.wrong.append("a revision whose layer is gone")
    for child in document.children:
        if not await repository.revisions.exists(Digest(child)):
            sight.wrong.append("an index whose child is gone")
    return frozenset(str(Digest.of(signature.blob)) for signature in manifest.signatures)


async def _tag(repository: Repository, tag: str, sight: Sight) -> str | None:
    """Look at a tag; return its revision."""
    try:
        sight.history[tag] = [event.digest for event in await repository.tags.history(tag)]
    except TagUnknown:
        sight.history[tag] = []
    try:
        digest = await repository.tags.resolve(tag)
        listed = [info.tag for info in (await repository.tags.list()).tags]
        if tag not in listed:
            sight.wrong.append("a tag that is not listed")
        await repository.manifests.get(tag)
    except TagUnknown:
        return None
    except ManifestUnknown:
        sight.dangling.append(f"the tag {tag} is listed, and what it points at is gone")
        return str(digest)
    except RevstoreError as error:
        sight.wrong.append(f"a tag by half: {type(error).__name__}")
        return None
    return str(digest)


async def _layer(repository: Repository, digest: Digest, content: bytes, sight: Sight) -> bool:
    try:
        if await repository.blobs.get(digest) != content:
            sight.wrong.append("a layer of other bytes")
    except Damaged as error:
        sight.wrong.append(f"a layer by half: {type(error).__name__}")
        return False
    except NotFound:
        return False
    return True


async def _is_there(repository: Repository, digest: Digest) -> bool:
    try:
        await repository.blobs.get(digest)
    except (NotFound, Damaged):
        return False
    return True


async def _upload(repository: Repository, upload: str) -> int | None:
    """Return the size of an upload in bytes; None where it is gone."""
    try:
        return (await repository.uploads.status(upload)).offset
    except UploadUnknown:
        return None


def left_over(store: ExploredStore, uploads: Sequence[str]) -> list[str]:
    """Return an error for each upload that has segments and no state."""
    left = []
    for upload in uploads:
        keys = [key for key in store.objects if upload in key]
        if keys and not any(key.endswith("/state") for key in keys):
            left.append("segments of an upload that is gone")
    return left


# ---- after all


def life(before: Sequence[str | None], events: Life) -> list[str | None]:
    """Return the revisions of a tag in their order, without repeats, as a history tells them."""
    told: list[str | None] = [*before]
    for event in events:
        digest = None if event is None or is_delete_marker(event[0].decode()) else event[0].decode()
        if told[-1:] != [digest] and (told or digest is not None):
            told.append(digest)
    return told


def wrong_history(done: Run, before: Sight, sight: Sight) -> list[str]:
    """Compare the history of each tag with the contents that its current link had."""
    wrong = []
    for tag, told in sight.history.items():
        events = next((events for key, events in done.life.items() if f"/tags/{tag}/" in key), [])
        if told != life(before.history[tag], events):
            wrong.append("the history is not the tag's life")
    return wrong


def wrong_answers(done: Run, acts: dict[str, Act], before: Contents, sight: Sight) -> list[str]:
    """Look for an order of the calls that explains all answers and the contents of the registry."""
    explained = [now for now in ends(done.calls, acts, frozenset(), before) if agrees(now, sight)]
    if not explained:
        return ["no order of the calls explains their answers and what is there"]
    if not any(all(_ends_in(done.store, *upload) for upload in now.uploads.items()) for now in explained):
        return ["an upload does not hold the bytes that were acknowledged"]
    return []


def ends(
    calls: Sequence[Call], acts: dict[str, Act], over: frozenset[int], now: Contents
) -> Iterator[Contents]:
    """Yield the contents at the end of each order of the calls that explains their answers."""
    if len(over) == len(calls):
        yield now
        return
    for number, call in enumerate(calls):
        if number in over or not (call.after or frozenset()) <= over:
            continue
        act = acts[call.name]
        if unknown(call.answer):
            possible = list(act.parts(now))
        else:
            possible = [after for word, after in act.means(now) if word == answer(call.answer)]
        for after in possible:
            yield from ends(calls, acts, over | {number}, after)


def agrees(expected: Contents, sight: Sight) -> bool:
    """Say whether a registry has the expected contents; it may have more signatures."""
    found = sight.contents
    return (
        expected.tags == found.tags
        and expected.layers == found.layers
        and {upload: len(sent) for upload, sent in expected.uploads.items()} == sight.uploads
        and expected.revisions.keys() == found.revisions.keys()
        and all(signed <= found.revisions[digest] for digest, signed in expected.revisions.items())
    )


def _ends_in(store: ExploredStore, upload: str, sent: bytes) -> bool:
    """Say whether an upload can be finished as these bytes."""

    async def finished() -> bool:
        async with Registry(PlainDriver(store.copy())) as registry:
            try:
                await registry.repository(NAME).uploads.finish(upload, Digest.of(sent))
            except RevstoreError:
                return False
        return True

    return run(finished())


def wrong_referrers(sight: Sight, known: Known) -> list[str]:
    """Compare the listed referrers with the stored revisions."""
    for subject, listed in sight.referrers.items():
        there = {d for d in sight.contents.revisions if known.documents[d].subject == subject}
        if listed != there:
            return ["the referrers listed are not those that are there"]
    return []
