"""Multipart uploads, of writers and of large copies."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from revstore_async.concurrency import gather_map, settled
from revstore_async.driver import Condition, FileInfo
from revstore_async.errors import RevstoreError, Unavailable, Unsupported

from ..buckets.refusals import Refused
from ..buckets.retries import GRACE, Tries
from .client import Client
from .errors import DRIVER
from .putting import MARK, Written, headers_of, new_mark, write_once
from .wire.answers import Answer
from .wire.bodies import Body, size_of

Part = TypeVar("Part")

PARTS: Final = 10_000
"""The most parts of an upload."""


@dataclass(slots=True)
class Upload:
    """An upload.

    Attributes:
        client: The way to the server.
        key: The key of the object.
        id: The server's name of the upload; empty before `begin`, and after `complete` or `abort`.
        mark: The mark in the object's metadata, which shows after a lost answer that the completion had its effect.
    """

    client: Client
    key: str
    id: str = ""
    mark: str = field(default_factory=new_mark)

    async def begin(self) -> None:
        """Begin the upload.

        Cancellation: the call waits for the answer, so that `abort` knows the upload's name.
        """

        async def begin() -> None:
            answer = await self.client.ask(
                "create_multipart_upload",
                self.key,
                changes=True,
                Key=self.client.name_of(self.key),
                Metadata={MARK: self.mark},
                **self.client.extras,
            )
            self.id = answer["UploadId"]

        try:
            await settled(begin(), grace=GRACE)
        except Refused as refused:
            raise Unavailable(self.key, refused.code) from refused

    async def put_part(self, number: int, content: Body) -> str:
        """Send a part; return its etag.

        Raises:
            Refused: The upload is gone.
        """
        if number > PARTS:
            size = size_of(content)
            raise Unsupported(
                DRIVER, f"more than {PARTS} parts, here of {size} bytes: give a larger part_size"
            )
        answer = await self.client.ask(
            "upload_part", self.key, Body=content, PartNumber=number, **self._named()
        )
        return str(answer["ETag"])

    async def complete(self, etags: list[str], size: int, condition: Condition | None) -> FileInfo:
        """Make one object of the parts with these etags. Two requests: the second reads the object's time.

        Raises:
            ConditionFailed: The condition does not hold.
            Refused: The upload is gone, or has other parts.
        """
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        said = headers_of(self.key, condition)

        async def send() -> Answer:
            answer = await self.client.once(
                "complete_multipart_upload",
                self.key,
                MultipartUpload={"Parts": parts},
                **self._named(),
                **said,
            )
            self.id = ""
            return answer

        written = Written(self.client, self.key, self.mark, size)
        info = await write_once(written, condition, send)
        self.id = ""
        # The object may have the time when the upload began, and no answer so far has told that time.
        with suppress(Unavailable):  # the object is stored all the same
            return await written.found() or info
        return info

    async def abort(self, *, thorough: bool = False) -> None:
        """Remove the upload and its parts. Idempotent; after `complete` it does nothing.

        Args:
            thorough: Whether a part may still arrive: such a part can outlive the upload, so the driver looks for
            it.

        Raises:
            Unavailable: After several tries the upload still has parts.
        """
        tries = Tries(self.client.options.retries)
        while self.id:
            try:
                await self.client.ask("abort_multipart_upload", self.key, changes=True, **self._named())
                if thorough and (await self.client.ask("list_parts", self.key, **self._named())).get("Parts"):
                    await tries.again(Unavailable(self.key, "parts of an upload outlive it"))
                    continue
            except Refused:
                pass  # the upload is gone, as it should be
            self.id = ""

    def _named(self) -> dict[str, Any]:
        return {"Key": self.client.name_of(self.key), "UploadId": self.id}


async def by_parts(
    client: Client,
    key: str,
    size: int,
    parts: Iterable[Part],
    make: Callable[[Upload, int, Part], Awaitable[str]],
) -> FileInfo:
    """Make an object of parts, `parallel_parts` at once. A failure leaves neither an object nor parts.

    Args:
        client: The way to the server.
        key: The key of the object.
        size: The object's size.
        parts: The descriptions of the parts, in order.
        make: Makes one part from its number and description; returns its etag.

    Raises:
        Refused: The upload is gone, or `make` was refused.
    """
    upload = Upload(client, key)

    async def made(numbered: tuple[int, Part]) -> str:
        return await make(upload, *numbered)

    try:
        await upload.begin()
        etags = await gather_map(made, enumerate(parts, start=1), limit=client.options.parallel_parts)
        return await upload.complete([*etags], size, None)
    finally:
        with suppress(RevstoreError):  # the error of the object says more than the error of the clean-up
            await settled(upload.abort(thorough=True), grace=30)
