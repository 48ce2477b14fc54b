"""Three ways to read a revision with its signatures."""

from collections.abc import Awaitable, Callable, Sequence

from revstore_async import CURRENT, Digest, Registry
from revstore_async.concurrency import gather_map
from revstore_async.names import RepositoryName

NAME = RepositoryName("bench")
PAYLOAD = b'{"schemaVersion": 1, "name": "bench", "tag": "latest"}'
DIGEST = Digest.of(PAYLOAD)


async def _links(registry: Registry) -> Sequence[str]:
    """Read the payload, then list its signatures; return the keys of the links to them."""
    await registry.repository(NAME).revisions.get(DIGEST, signatures=False)
    page = await registry.driver.list_all(CURRENT.signatures_of(NAME, DIGEST))
    return [info.key for info in page.entries]


async def one_by_one(registry: Registry) -> int:
    """Each link, then its blob, then the next: as Docker Distribution's first draft did."""
    keys = await _links(registry)
    for key in keys:
        await registry.blobs.get(await registry.blobs.readlink(key))
    return len(keys)


async def links_first(registry: Registry) -> int:
    """All links together, then all blobs together."""
    keys = await _links(registry)
    at_once = registry.driver.capabilities.connections
    digests = await gather_map(registry.blobs.readlink, keys, limit=at_once)
    return len(await gather_map(registry.blobs.get, digests, limit=at_once))


async def ours(registry: Registry) -> int:
    """What the engine does: no link is read, its key names the content."""
    return len((await registry.repository(NAME).revisions.get(DIGEST)).signatures)


WAYS: dict[str, Callable[[Registry], Awaitable[int]]] = {
    "one by one": one_by_one,
    "links first": links_first,
    "ours": ours,
}
