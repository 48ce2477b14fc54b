"""Copies, made by the server: in one request, or by parts in parallel where one would take long."""

from datetime import UTC
from typing import Any

from revstore_async.driver import FileInfo
from revstore_async.errors import Unavailable

from ..buckets.refusals import Refused
from ..buckets.retries import Tries
from .client import Client, whole_second
from .errors import of_missing
from .reading import stat
from .uploads import PARTS, Upload, by_parts
from .wire.answers import Answer


async def copy(client: Client, source: str, target: str) -> FileInfo:
    """Copy an object; of the version that was there when it was looked at.

    The look is needed to know how to copy, and what was copied: the answer to a copy names no size.

    Raises:
        KeyNotFound: There is no source.
    """
    tries = Tries(client.options.retries)
    while True:
        info = await stat(client, source)
        if source == target:
            return info  # S3 refuses a copy in place of its own source that changes nothing
        try:
            if info.size <= client.options.copy_part_size:
                return await _copy_whole(client, info, target)
            return await _copy_parts(client, info, target)
        except Refused as refused:
            if refused.code != "PreconditionFailed":
                raise of_missing(refused, source) from refused
            # The source was written since: look again.
            error = Unavailable(source, "it is written again and again")
            error.__cause__ = refused
            await tries.again(error)


def _source(client: Client, info: FileInfo) -> dict[str, Any]:
    return {
        "CopySource": {"Bucket": client.options.bucket, "Key": client.name_of(info.key)},
        "CopySourceIfMatch": f'"{info.etag}"',
    }


async def _copy_whole(client: Client, info: FileInfo, target: str) -> FileInfo:
    answer: Answer = await client.ask(
        "copy_object",
        target,
        changes=True,
        Key=client.name_of(target),
        **_source(client, info),
        **client.extras(),
    )
    result = answer["CopyObjectResult"]
    return FileInfo(
        target, info.size, whole_second(result["LastModified"]).astimezone(UTC), result["ETag"].strip('"')
    )


async def _copy_parts(client: Client, info: FileInfo, target: str) -> FileInfo:
    size = max(client.options.copy_part_size, -(-info.size // PARTS))

    async def part(upload: Upload, number: int, first: int) -> str:
        answer = await client.ask(
            "upload_part_copy",
            target,
            Key=client.name_of(target),
            UploadId=upload.id,
            PartNumber=number,
            CopySourceRange=f"bytes={first}-{min(first + size, info.size) - 1}",
            **_source(client, info),
        )
        return str(answer["CopyPartResult"]["ETag"])

    return await by_parts(client, target, info.size, range(0, info.size, size), part)
