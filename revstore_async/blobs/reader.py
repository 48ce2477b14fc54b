"""Reads a blob, and verifies it on the way."""

from ..driver import FileInfo, Reader
from ..errors import BlobDamaged
from ..formats.digest import Digest, new_hasher
from ..threads import StreamHasher
from .soundness import Soundness


class BlobReader(Reader):
    """A reader of a blob; it holds back the last piece until the whole content is verified.

    Only a read from the first byte to the last can be verified. The reader returns the store's bytes unverified
    for a range, for a legacy tarsum (which can't be computed), and without `verify`.
    """

    def __init__(self, inner: Reader, digest: Digest, soundness: Soundness, *, verify: bool) -> None:
        self.info: FileInfo = inner.info
        self._soundness = soundness
        self._inner = inner
        self._digest = digest
        self._hashing = StreamHasher(new_hasher(digest.algorithm)) if verify else None
        self._left = inner.info.size

    async def read(self, size: int = 1 << 16, /) -> bytes:
        """Return the next bytes: at least one and at most `size`; empty only at the end.

        Raises:
            BlobDamaged: The content has another digest; its last piece is never returned.
        """
        piece = await self._inner.read(size)
        if self._hashing is None:
            return piece
        await self._hashing.update(piece)
        self._left -= len(piece)
        if self._left <= 0 or not piece:
            actual = Digest(f"{self._digest.algorithm}:{await self._hashing.hexdigest()}")
            if actual != self._digest:
                self._soundness.found(self._digest, self.info, actual)
                raise BlobDamaged(self._digest, actual)
            self._soundness.read_well(self._digest, self.info.size)
        return piece

    async def stop(self) -> None:
        """Wait until no hashing is under way."""
        if self._hashing is not None:
            await self._hashing.stop()
