"""The scenarios: the calls before, and the calls that run at once. A new race gets a row here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from revstore_async import ABSENT, Digest, Registry
from revstore_async.policy import NO_TAGS, Policy, TagRule, tags_matching
from tests.parts.documents import DOCKER_SCHEMA2, image, index, schema1, signed
from tests.parts.referring import about

from .acts import (
    SOURCE,
    Act,
    Document,
    append,
    cancel,
    delete,
    delete_layer,
    finish,
    mount,
    pull,
    purge,
    put,
    restore,
    set_tag,
)
from .explored_store import DEATHS, EPOCH, LIVES, Profile

CONFIG, LAYER = b"{}", b"a layer"
FAR = timedelta(days=100_000)


def _document(content: bytes) -> Document:
    return Document.of(content)


def _signed(number: int) -> Document:
    """A manifest signed by one host, such that signatures lie in the order of their numbers in every process."""
    payload = schema1(Digest.of(LAYER))
    while True:
        document = Document.of(signed(payload, number))
        if next(iter(document.signatures)).startswith(f"sha256:{number}"):
            return document


A, B, C = (_document(image(CONFIG, number=number)) for number in "ABC")
WITH_LAYER = _document(image(CONFIG, LAYER))
BY_1, BY_2, BY_3 = map(_signed, (1, 2, 3))
REFERRER, OTHER_REFERRER = (_document(about(A.digest, number=number)) for number in "01")
SILENT = Document.of(image(CONFIG, media_type=None), DOCKER_SCHEMA2)
INDEX = _document(index(A.content, WITH_LAYER.content))
ALL_DOCUMENTS = (A, B, C, WITH_LAYER, INDEX, SILENT, BY_1, BY_2, BY_3, REFERRER, OTHER_REFERRER)
UPLOAD = "00000000-0000-4000-8000-000000000000"
SENT, MORE = b"the first bytes", b", and more"

Step = Callable[[Registry], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row.

    Attributes:
        name: Its name in seeds.
        before: What is done before, one after another.
        actors: What each actor does, one after another; the actors run at once.
        large: Whether it has so many schedules that only some of them are run with all tests.
        deaths: Whether it is also searched with an actor that dies.
        immutable: The tags that are never moved.
        one_process: Whether the actors share one registry, with what that keeps in memory.
        uploads: The uploads that are begun.
        runs: The stores on which it is searched, with runs of the collector; empty where there are no runs.
    """

    name: str
    before: Sequence[Act]
    actors: Sequence[Sequence[Act]]
    large: bool = False
    deaths: bool = False
    immutable: TagRule = NO_TAGS
    one_process: bool = False
    uploads: tuple[str, ...] = ()
    runs: Sequence[Profile] = ()

    @property
    def profiles(self) -> Sequence[Profile]:
        """The stores on which it is searched."""
        return self.runs or ((*LIVES, *DEATHS) if self.deaths else LIVES)

    @property
    def policy(self) -> Policy:
        return Policy(immutable=self.immutable)


TAG = "latest"
SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        # ---- manifests and their tags
        Scenario("put-put-other-signatures", [], [[put(BY_1, TAG)], [put(BY_2, TAG)]], large=True),
        Scenario("put-put-more-signatures", [put(BY_1, TAG)], [[put(BY_2, TAG)], [put(BY_3, TAG)]]),
        Scenario("put-delete-same", [put(A, TAG)], [[put(A, TAG)], [delete(A.digest)]]),
        Scenario("put-delete-same-untagged", [put(A)], [[put(A, TAG)], [delete(A.digest)]]),
        Scenario(
            "put-delete-same-signed", [put(BY_1, TAG)], [[put(BY_2, TAG)], [delete(BY_1.digest)]], large=True
        ),
        Scenario("put-delete-same-silent", [put(SILENT)], [[put(SILENT, TAG)], [delete(SILENT.digest)]]),
        Scenario("put-put-silent", [], [[put(SILENT)], [put(SILENT, TAG)]]),
        Scenario("put-delete-other", [put(A, TAG)], [[put(B, TAG)], [delete(A.digest)]], deaths=True),
        Scenario("put-delete-tag", [put(A, TAG)], [[put(B, TAG)], [delete(TAG)]], deaths=True),
        Scenario("tag-delete-digest", [put(A), put(B, TAG)], [[set_tag(TAG, A.digest)], [delete(A.digest)]]),
        Scenario(
            "tag-delete-other",
            [put(B), put(A, TAG)],
            [[set_tag(TAG, B.digest)], [delete(A.digest)]],
            deaths=True,
        ),
        Scenario(
            "tag-tag",
            [put(A), put(B), put(C, TAG)],
            [[set_tag(TAG, A.digest)], [set_tag(TAG, B.digest)]],
            deaths=True,
        ),
        Scenario("tag-tag-new", [put(A), put(B)], [[set_tag(TAG, A.digest)], [set_tag(TAG, B.digest)]]),
        Scenario(
            "tag-there-and-back",
            [put(B), put(C), put(A, TAG)],
            [[set_tag(TAG, B.digest), set_tag(TAG, A.digest)], [set_tag(TAG, C.digest)]],
            deaths=True,
        ),
        # The tag is absent, there, and absent again; a writer that saw the first absence makes it.
        Scenario(
            "tag-new-tag-delete",
            [put(A), put(B)],
            [[set_tag(TAG, A.digest)], [set_tag(TAG, B.digest), delete(TAG)]],
            deaths=True,
        ),
        Scenario(
            "compare-and-swap",
            [put(B), put(C), put(A, TAG)],
            [
                [set_tag(TAG, B.digest, expected=A.digest)],
                [set_tag(TAG, C.digest, expected=A.digest)],
            ],
        ),
        Scenario(
            "compare-and-swap-absent",
            [put(A), put(B)],
            [[set_tag(TAG, A.digest, expected=ABSENT)], [put(B, TAG, expected=ABSENT)]],
        ),
        Scenario(
            "immutable",
            [put(A), put(B)],
            [[set_tag(TAG, A.digest, immutable=True)], [set_tag(TAG, B.digest, immutable=True)]],
            immutable=tags_matching(TAG),
        ),
        Scenario("delete-delete-digest", [put(A, TAG)], [[delete(A.digest)], [delete(A.digest)]]),
        Scenario("delete-delete-tag", [put(A, TAG)], [[delete(TAG)], [delete(TAG)]], deaths=True),
        Scenario("delete-tag-delete-digest", [put(A, TAG)], [[delete(TAG)], [delete(A.digest)]]),
        Scenario(
            "restore-tag",
            [put(A, TAG), put(C), put(B, TAG)],
            [[restore(TAG, EPOCH + timedelta(seconds=15), A.digest)], [set_tag(TAG, C.digest)]],
        ),
        Scenario(
            "restore-delete",
            [put(A, TAG), put(B, TAG)],
            [[restore(TAG, EPOCH + timedelta(seconds=15), A.digest)], [delete(A.digest)]],
        ),
        Scenario("pull-put", [put(A, TAG)], [[pull(TAG)], [put(B, TAG), delete(A.digest)]], deaths=True),
        # ---- in one process, which shares reads and keeps things in memory
        Scenario("pull-pull-put", [put(A, TAG)], [[pull(TAG), pull(TAG)], [put(B, TAG)]], one_process=True),
        Scenario(
            "put-delete-in-one-process", [put(A, TAG)], [[put(A, TAG)], [delete(A.digest)]], one_process=True
        ),
        Scenario(
            "tag-tag-in-one-process",
            [put(A), put(B), put(C, TAG)],
            [[set_tag(TAG, A.digest)], [set_tag(TAG, B.digest)]],
            one_process=True,
        ),
        # ---- three at once
        Scenario(
            "put-put-delete",
            [put(A, TAG)],
            [[put(B, TAG)], [put(C, TAG)], [delete(A.digest)]],
            large=True,
            deaths=True,
        ),
        Scenario(
            "tag-tag-delete",
            [put(B), put(C), put(A, TAG)],
            [[set_tag(TAG, B.digest)], [set_tag(TAG, C.digest)], [delete(A.digest)]],
            large=True,
        ),
        Scenario(
            "tag-tag-tag",
            [put(A), put(B), put(C)],
            [[set_tag(TAG, A.digest)], [set_tag(TAG, B.digest)], [set_tag(TAG, C.digest)]],
            large=True,
        ),
        Scenario(
            "compare-and-swap-of-three",
            [put(B), put(C), put(A, TAG)],
            [
                [set_tag(TAG, B.digest, expected=A.digest)],
                [set_tag(TAG, C.digest, expected=A.digest)],
                [set_tag(TAG, A.digest, expected=B.digest)],
            ],
            large=True,
        ),
        Scenario(
            "put-delete-put-same",
            [put(A, TAG)],
            [[put(A, TAG)], [delete(A.digest)], [set_tag("other", A.digest)]],
            large=True,
        ),
        Scenario(
            "put-put-delete-signed",
            [put(BY_1, TAG)],
            [[put(BY_2, TAG)], [put(BY_3, TAG)], [delete(BY_1.digest)]],
            large=True,
        ),
        # ---- referrers
        Scenario(
            "referrer-put-delete", [put(A), put(REFERRER)], [[put(REFERRER)], [delete(REFERRER.digest)]]
        ),
        Scenario("referrer-put-put", [put(A)], [[put(REFERRER)], [put(OTHER_REFERRER)]]),
        Scenario("referrer-put-delete-subject", [put(A)], [[put(REFERRER)], [delete(A.digest)]]),
        # ---- layers
        Scenario(
            "mount-delete",
            [delete_layer(Digest.of(LAYER))],
            [[mount(Digest.of(LAYER))], [delete_layer(Digest.of(LAYER), SOURCE)]],
        ),
        Scenario(
            "mount-delete-here",
            [mount(Digest.of(LAYER))],
            [[mount(Digest.of(LAYER))], [delete_layer(Digest.of(LAYER))]],
        ),
        Scenario(
            "mount-mount-delete",
            [delete_layer(Digest.of(LAYER))],
            [[mount(Digest.of(LAYER))], [mount(Digest.of(LAYER))], [delete_layer(Digest.of(LAYER), SOURCE)]],
        ),
        # ---- uploads
        Scenario(
            "append-append",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, b"1", len(SENT))], [append(UPLOAD, b"2", len(SENT))]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "append-finish",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, MORE)], [finish(UPLOAD, SENT)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "finish-finish",
            [append(UPLOAD, SENT)],
            [[finish(UPLOAD, SENT + MORE, MORE)], [finish(UPLOAD, SENT + MORE, MORE)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "finish-finish-other",
            [append(UPLOAD, SENT)],
            [[finish(UPLOAD, SENT + MORE, MORE)], [finish(UPLOAD, SENT)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "finish-finish-at-once",
            [],
            [[finish(UPLOAD, SENT, SENT)], [finish(UPLOAD, SENT, SENT)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "append-finish-at-once",
            [],
            [[append(UPLOAD, MORE)], [finish(UPLOAD, SENT, SENT)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "finish-cancel",
            [append(UPLOAD, SENT)],
            [[finish(UPLOAD, SENT)], [cancel(UPLOAD)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "append-cancel",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, MORE)], [cancel(UPLOAD)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "append-purge",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, MORE)], [purge(UPLOAD, EPOCH + FAR)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "finish-purge",
            [append(UPLOAD, SENT)],
            [[finish(UPLOAD, SENT)], [purge(UPLOAD, EPOCH + FAR)]],
            uploads=(UPLOAD,),
        ),
        Scenario(
            "append-finish-cancel",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, MORE)], [finish(UPLOAD, SENT)], [cancel(UPLOAD)]],
            uploads=(UPLOAD,),
            large=True,
        ),
        Scenario(
            "append-append-finish",
            [append(UPLOAD, SENT)],
            [[append(UPLOAD, MORE)], [append(UPLOAD, MORE)], [finish(UPLOAD, SENT + MORE)]],
            uploads=(UPLOAD,),
            large=True,
        ),
    )
}
