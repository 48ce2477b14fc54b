"""The operations of a registry's clients over HTTP, each a coroutine of a client and a unique number."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from revstore_async.formats.descriptors import OCI_MANIFEST
from revstore_async.formats.digest import Digest

from .content import Images
from .http import Body, Client

_ACCEPT = {"Accept": f"{OCI_MANIFEST}, application/vnd.oci.image.index.v1+json"}
_BYTES = {"Content-Type": "application/octet-stream"}
_PUSHED = 50_000


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations on a repository.

    Attributes:
        images: The repository.
        mark: Makes each object that this party pushes in this run different from all pushed before.
        spread: The number of tags over which pulls go; after the last one they begin anew.
    """

    images: Images
    mark: str = "0"
    spread: int = 1

    @property
    def _path(self) -> str:
        return f"/v2/{self.images.name}"

    @property
    def _pushed_to(self) -> str:
        return f"/v2/bench/pushed-{self.mark}"

    # ---- pulls

    async def manifest_by_digest(self, client: Client, number: int) -> None:
        """Pull a manifest by digest."""
        digest = self.images.digests[number % min(self.spread, len(self.images.digests))]
        await client.ask("GET", f"{self._path}/manifests/{digest}", headers=_ACCEPT)

    async def manifest_by_tag(self, client: Client, number: int) -> None:
        """Pull a manifest by tag: not the one pulled by digest, so that neither pull caches it for the other."""
        tag = f"t{(number + self.spread // 2) % self.spread}"
        await client.ask("GET", f"{self._path}/manifests/{tag}", headers=_ACCEPT)

    async def manifest_by_tag_again(self, client: Client, number: int) -> None:  # noqa: ARG002 (as all operations)
        """Pull a manifest by a tag that was pulled before."""
        await client.ask("GET", f"{self._path}/manifests/t0", headers=_ACCEPT)

    async def head_layer(self, client: Client, number: int) -> None:  # noqa: ARG002 (as all operations)
        """Ask with HEAD whether a layer is there."""
        await client.ask("HEAD", f"{self._path}/blobs/{self.images.layer}")

    async def get_layer(self, client: Client, number: int) -> None:  # noqa: ARG002 (as all operations)
        """Pull a layer of 100 kB."""
        await client.ask("GET", f"{self._path}/blobs/{self.images.layer}")

    async def tag_list(self, client: Client, number: int) -> None:  # noqa: ARG002 (as all operations)
        """List the first 100 tags."""
        await client.ask("GET", f"{self._path}/tags/list?n=100")

    # ---- pushes

    async def put_manifest(self, client: Client, number: int) -> None:
        """Push a new manifest under a new tag."""
        await self._put(client, f"new-{self.mark}-{number}", number)

    async def move_tag(self, client: Client, number: int) -> None:
        """Push a new manifest under a tag that has another one."""
        await self._put(client, f"moved-{self.mark}", number)

    async def _put(self, client: Client, tag: str, number: int) -> None:
        document = self.images.manifest(f"{tag}-{number}")
        target = f"{self._path}/manifests/{tag}"
        headers = {"Content-Type": OCI_MANIFEST}
        await client.ask("PUT", target, headers=headers, body=document, expect=(201,))

    async def push_layer(self, client: Client, number: int) -> None:
        """Push a layer of 50 kB: POST, PUT."""
        await push(client, self._pushed_to, *self._layer(number))

    async def push_layer_patched(self, client: Client, number: int) -> None:
        """Push a layer of 50 kB: POST, PATCH, PUT."""
        content, digest = self._layer(-1 - number)
        await push_chunked(client, self._pushed_to, [(content, len(content))], digest)

    async def mount(self, client: Client, number: int) -> None:
        """Mount a layer of another repository."""
        query = f"mount={self.images.layer}&from={self.images.name}"
        target = f"/v2/bench/mounted-{self.mark}-{number}/blobs/uploads/?{query}"
        await client.ask("POST", target, expect=(201,))

    def _layer(self, number: int) -> tuple[bytes, str]:
        content = random.Random(f"{self.images.seed} {self.mark} {number}").randbytes(_PUSHED)
        return content, Digest.of(content)


Operation = Callable[[Operations, Client, int], Awaitable[None]]

OPERATIONS: Mapping[str, Operation] = {
    "manifest by digest": Operations.manifest_by_digest,
    "manifest by tag": Operations.manifest_by_tag,
    "manifest by tag, again": Operations.manifest_by_tag_again,
    "HEAD layer": Operations.head_layer,
    "GET layer 100 kB": Operations.get_layer,
    "put manifest by tag": Operations.put_manifest,
    "put manifest, tag moved": Operations.move_tag,
    "push layer 50 kB POST PUT": Operations.push_layer,
    "push layer 50 kB POST PATCH PUT": Operations.push_layer_patched,
    "mount": Operations.mount,
    "tag list": Operations.tag_list,
}
"""By name: the rows of design section 4, and a tag's move."""


async def push(client: Client, repository: str, body: Body, digest: str, *, size: int | None = None) -> None:
    """Push a blob in one piece: POST, PUT.

    Args:
        client: The client of the registry.
        repository: The path `/v2/<name>`.
        body: The content.
        digest: The content's digest.
        size: The content's bytes, if it comes in pieces.
    """
    location = await _begin(client, repository)
    await client.ask(
        "PUT", _with_digest(location, digest), headers=_BYTES, body=body, size=size, expect=(201,)
    )


async def push_chunked(client: Client, repository: str, chunks: list[tuple[Body, int]], digest: str) -> None:
    """Push a blob in chunks: POST, a PATCH for each, PUT.

    Args:
        client: The client of the registry.
        repository: The path `/v2/<name>`.
        chunks: Content and bytes of each.
        digest: The whole content's digest.
    """
    location = await _begin(client, repository)
    offset = 0
    for body, size in chunks:
        headers = _BYTES | {"Content-Range": f"{offset}-{offset + size - 1}"} if len(chunks) > 1 else _BYTES
        answer = await client.ask("PATCH", location, headers=headers, body=body, size=size, expect=(202,))
        location = answer.header("location") or location
        offset += size
    await client.ask("PUT", _with_digest(location, digest), expect=(201,))


async def _begin(client: Client, repository: str) -> str:
    answer = await client.ask("POST", f"{repository}/blobs/uploads/", expect=(202,))
    return answer.header("location")


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"
