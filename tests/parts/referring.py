"""Manifests that refer to another, and how they are listed."""

from collections.abc import Sequence

from revstore_async import Digest, Repository
from tests.parts.documents import OCI_MANIFEST, image

CONFIG = b"{}"
SUBJECT = image(CONFIG)
SBOM, SIGNATURE = "application/vnd.example.sbom+json", "application/vnd.example.signature"


def about(subject: bytes | Digest = SUBJECT, **more: object) -> bytes:
    """A manifest with another as its subject; equal arguments make equal manifests."""
    digest = subject if isinstance(subject, Digest) else Digest.of(subject)
    members = {"subject": {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}, **more}
    return image(CONFIG, **members)  # type: ignore[arg-type]


async def listed(repository: Repository, subject: str | None = None, **arguments: object) -> list[str]:
    """The digests of all referrers, which are one page."""
    page = await repository.referrers.list(subject or Digest.of(SUBJECT), **arguments)  # type: ignore[arg-type]
    assert page.unreadable == ()
    assert page.next is None
    return [referrer.descriptor.digest for referrer in page.referrers]


async def paged(repository: Repository, limit: int, artifact_type: str | None = None) -> list[Sequence[str]]:
    """The digests of all referrers, page by page."""
    last, found = None, list[Sequence[str]]()
    while True:
        page = await repository.referrers.list(
            Digest.of(SUBJECT), artifact_type=artifact_type, limit=limit, last=last
        )
        assert page.unreadable == ()
        found.append([referrer.descriptor.digest for referrer in page.referrers])
        if page.next is None:
            return found
        assert last is None or page.next > last
        last = page.next
