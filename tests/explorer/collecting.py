"""Runs of the collector beside other calls: the acts of them, and the rules for the registry afterwards.

A run may take all that nothing needs. It takes nothing that an answer acknowledged since the scenario began, and
nothing that a tag leads to which the rules keep.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from unittest.mock import patch

from revstore_async import Digest, Registry
from revstore_async.collector import Retention
from revstore_async.errors import RevstoreError, RunLost, RunUnderWay, VerificationFailed
from revstore_async.formats.names import RepositoryName
from revstore_async.layout import RevisionLink
from revstore_async.runs.state import Bounds, State
from revstore_async.runs.store import SeenState, StateStore

from .acts import NAME, OK, Act, Contents, Document, no_parts
from .explored_store import EPOCH
from .invariants import Known, Sight, ends
from .schedule import Run

OLD = "old"
"""The tag that the rules let expire."""

RULES = Retention.parse(
    'history = "0s"\n[[rule]]\ntags = "old"\nexpire = true\n[[rule]]\nuntagged = true\nexpire = true\n'
)
SECOND = timedelta(seconds=1)
BOUNDS = Bounds(
    keep=SECOND,
    link_within=2 * SECOND,
    lease=timedelta(hours=1),
    metadata=SECOND,
    hold=5 * SECOND,
)
LONG = 2 * BOUNDS.lease.total_seconds()
"""Seconds after which all that a scenario begins with is older than the lease."""

TRIES = 60
"""How often a client comes again, each time after a second: longer than it takes until a dead run is ended."""


async def enable(registry: Registry) -> None:
    """Let runs begin."""
    with patch("os.urandom", bytes):
        await StateStore(registry.driver, registry.layout).swap(
            SeenState(), State(bounds=BOUNDS, enabled=EPOCH)
        )


Thing = tuple[str, ...]
"""`tag` and its name; `revision` and its digest; `signature`, its revision and its digest; `layer`, its repository
and its digest."""


@dataclass(frozen=True, slots=True)
class Keeping(Act):
    """A call that acknowledges things by a good answer: no run may take them within the lease.

    Attributes:
        things: The things.
    """

    things: frozenset[Thing] = frozenset()


def keeping(act: Act, *things: Thing, refusals: Iterable[str] = ()) -> Act:
    """Return an act that may be refused because of a run.

    Args:
        act: The act.
        *things: The things that its good answer acknowledges.
        refusals: The further answers that it may have where a run takes the things that it needs.
    """
    words = ("BeingCollected", *refusals)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [*act.means(contents), *((word, after) for word in words for after in act.parts(contents))]

    if not things:
        return replace(act, means=means)
    return Keeping(act.name, act.do, means, act.parts, frozenset(things))


# ---- runs


def collect(*, again: bool = False) -> Act:
    """A run of the collector.

    Args:
        again: Whether the process tries again while another run is open, or if it lost its own.
    """

    async def do(registry: Registry) -> None:
        for _ in range(TRIES if again else 0):
            try:
                await registry.collector.run(RULES)
            except (RunUnderWay, RunLost):
                await asyncio.sleep(1)
            else:
                return
        await registry.collector.run(RULES)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(word, contents) for word in (OK, "RunUnderWay", "RunLost")]

    return Act("collect", do, means, no_parts)


def cancel_run() -> Act:
    """A run that an operator cancels."""

    async def do(registry: Registry) -> None:
        await registry.collector.cancel()

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(word, contents) for word in (OK, "RunUnderWay")]

    return Act("cancel run", do, means, no_parts)


# ---- writers


def warm() -> Act:
    """A question after which the process has the collector's state in memory."""

    async def do(registry: Registry) -> None:
        await registry.repository(NAME).blobs.confirm(Digest.of(b"it is nowhere"))

    return Act("warm", do, lambda contents: [(OK, contents)], no_parts)


def push(document: Document, contents: Sequence[bytes], tag: str | None = None) -> Act:
    """A push by a client that asks for each layer first, and comes again when it is told to."""

    async def once(registry: Registry) -> None:
        repository = registry.repository(NAME)
        for content in contents:
            if await repository.blobs.confirm(Digest.of(content)) is None:
                await repository.blobs.put(content)
        await repository.manifests.put(document.content, tag=tag)

    def whole(before: Contents) -> Contents:
        layers = before.layers | {(NAME, layer) for layer in document.layers}
        after = replace(before.with_revision(document.digest, document.signatures), layers=layers)
        return after if tag is None else after.with_tag(tag, document.digest)

    def parts(before: Contents) -> Iterable[Contents]:
        after = whole(before)
        return [before, replace(after, tags=before.tags), after]

    act = Act(
        f"push {document.digest[7:11]} {tag or ''}",
        patiently(once),
        lambda contents: [(OK, whole(contents))],
        parts,
    )
    things: list[Thing] = [
        ("revision", document.digest),
        *(("layer", NAME, each) for each in document.layers),
    ]
    things += [("signature", document.digest, each) for each in document.signatures]
    # The rules may let the old tag go at once: a push of the manifest that it has does not write its link anew.
    things += [("tag", tag)] if tag not in {None, OLD} else []
    return Keeping(act.name, act.do, act.means, act.parts, frozenset(things))


def patiently(once: Callable[[Registry], Awaitable[object]]) -> Callable[[Registry], Awaitable[object]]:
    """Return a call that comes again when it is told to."""

    async def do(registry: Registry) -> object:
        for _ in range(TRIES):
            try:
                return await once(registry)
            except VerificationFailed:
                continue
            except RevstoreError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(1)
        return await once(registry)

    return do


def orphan(document: Document) -> Act:
    """A killed deletion of a revision: it took the link alone."""

    async def do(registry: Registry) -> None:
        link = RevisionLink(RepositoryName(NAME), document.digest)
        await registry.driver.delete(registry.layout.key(link))

    return Act("orphan", do, lambda contents: [(OK, contents.without_revision(document.digest))], no_parts)


# ---- the rules


def wrong_beside_runs(
    done: Run, acts: dict[str, Act], start: Contents, sight: Sight, known: Known
) -> list[str]:
    """Look for an order of the calls that explains all answers. All acknowledged things must be whole.

    A writer that was refused may have written a link too late, after a sweep: then that leads to nothing.
    """
    touched: set[Thing] = set()
    wrong = [*sight.wrong, *sight.dangling]
    for call in done.calls:
        act = acts[call.name]
        if isinstance(act, Keeping) and call.done and not isinstance(call.answer, RevstoreError):
            touched |= act.things
        elif isinstance(act, Keeping):
            wrong = []
    orders = ends(done.calls, acts, frozenset(), start)
    found = [[*_lacking(now, touched, start, sight, known), *_foreign(now, sight)] for now in orders]
    if not found:
        return [*wrong, "no order of the calls explains their answers"]
    return [*wrong, *min(found, key=len)]


def _lacking(
    now: Contents, touched: set[Thing], start: Contents, sight: Sight, known: Known
) -> Sequence[str]:
    """Return an error for each thing that must be there after an order of the calls, and is not."""
    stays = {tag: digest for tag, digest in now.tags.items() if tag != OLD and start.tags.get(tag) == digest}
    tags = stays | {tag: digest for tag, digest in now.tags.items() if ("tag", tag) in touched}
    revisions = {*tags.values(), *(each for each in now.revisions if ("revision", each) in touched)}
    revisions |= {each for each in start.revisions if known.documents[each].subject in stays.values()}
    waiting = [*revisions]
    while waiting:
        more = known.documents[waiting.pop()].children - revisions
        revisions |= more
        waiting += more
    layers = {(NAME, layer) for each in revisions for layer in known.documents[each].layers}
    layers |= {(name, digest) for name, digest in now.layers if ("layer", name, digest) in touched}
    signed = {(digest, each) for digest in stays.values() for each in now.revisions[digest]}
    signed |= {(thing[1], thing[2]) for thing in touched if thing[0] == "signature"}
    found = sight.contents
    found_signed = {(digest, each) for digest in found.revisions for each in found.revisions[digest]}
    referrers = {(each, known.documents[each].subject) for each in revisions}
    return [
        *(f"the tag {tag} is gone or moved" for tag in tags if found.tags.get(tag) != tags[tag]),
        *("an acknowledged revision is gone" for each in revisions if each not in found.revisions),
        *("an acknowledged layer is gone" for _ in layers - found.layers),
        *("an acknowledged signature is gone" for _ in signed - found_signed),
        *("a referrer is not listed" for each, of in referrers if of and each not in sight.referrers[of]),
    ]


def _foreign(now: Contents, sight: Sight) -> Sequence[str]:
    """Return an error for each thing that an order of the calls does not explain."""
    found = sight.contents
    sizes = {upload: len(sent) for upload, sent in now.uploads.items()}
    return [
        *("a tag is there that no call set" for _ in found.tags.items() - now.tags.items()),
        *("a revision is there that no call put" for _ in found.revisions.keys() - now.revisions.keys()),
        *(["an upload is not as it was acknowledged"] if sizes != sight.uploads else []),
    ]
