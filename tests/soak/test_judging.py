"""The soak notices garbage, and a process that holds more and more."""

from dataclasses import replace

import pytest

from revstore_async import Digest, RepositoryName
from revstore_async.layout import BlobData, LayerLink, Layout, RevisionLink, SignatureLink, StoredObject
from tests.soak.flatness import HANDLES, MEMORY, Flatness
from tests.soak.images import image
from tests.soak.model import Model
from tests.soak.replicas import Held
from tests.soak.verifying import Whole, garbage

LAYOUT = Layout()
ONE = RepositoryName("soak/one")
KEPT = image(5)
WHOLE = Whole({("soak/one", "t0"): KEPT.digest}, 0, 0)


def names(*objects: StoredObject) -> list[str]:
    return [f"root/{LAYOUT.key(each)}" for each in objects]


def test_content_and_links_of_a_tag_are_no_garbage() -> None:
    digests = [Digest.of(content) for content in (KEPT.content, *KEPT.blobs)]
    signed = Digest.of(b"signature")
    links = [LayerLink(ONE, digest) for digest in digests[1:]]
    revision = (RevisionLink(ONE, KEPT.digest), SignatureLink(ONE, KEPT.digest, signed))
    there = names(*map(BlobData, [*digests, signed]), *links, *revision)
    assert garbage(WHOLE, Model(), there) == []


@pytest.mark.parametrize("kind", ["blob", "layer", "layer of another repository", "revision", "signature"])
def test_anything_else_is_garbage(kind: str) -> None:
    other, layer = Digest.of(b"other"), Digest.of(KEPT.blobs[1])
    kinds: dict[str, StoredObject] = {
        "blob": BlobData(other),
        "layer": LayerLink(ONE, other),
        "layer of another repository": LayerLink(RepositoryName("soak/two"), layer),
        "revision": RevisionLink(ONE, other),
        "signature": SignatureLink(ONE, other, layer),
    }
    left = kinds[kind]
    assert garbage(WHOLE, Model(), names(left)) == names(left)


HELD = Held(memory=100 << 20, handles=20, tasks=("serve",))


def seen(held: Held, now: Held) -> list[str]:
    flatness = Flatness()
    flatness.begin("first", HELD)
    for _ in range(9):
        flatness.see("first", 1, held)
    return flatness.wrong("first", 1, now)


def test_a_process_that_holds_the_same_is_flat() -> None:
    assert seen(HELD, HELD) == []


def test_a_process_that_holds_more_is_not() -> None:
    assert "memory" in seen(HELD, replace(HELD, memory=HELD.memory + MEMORY + 1))[0]
    assert "handles" in seen(HELD, replace(HELD, handles=HELD.handles + HANDLES + 1))[0]
    assert "tasks" in seen(HELD, replace(HELD, tasks=("serve", "serve")))[0]
