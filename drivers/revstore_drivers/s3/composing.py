"""Joins objects to one: the server copies large ones, and this process reads those that are too small for a part.

S3 copies a whole object, or a range of it, as a part of an upload. Each part but the last has at least 5 MiB. S3
copies ranges only of objects that are larger than that, and this driver copies no range of less than 5 MiB. It
reads a smaller source, together with as many bytes of the next sources as fill a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from revstore_async.concurrency import gather_map
from revstore_async.driver import FileInfo, Source, check_version, other_version
from revstore_async.errors import RevstoreError

from ..buckets.refusals import Refused
from .client import Client, whole_second
from .errors import of_missing
from .putting import put
from .reading import open_reader
from .uploads import PARTS, Upload, by_parts

LEAST: Final = 5 << 20
"""The fewest bytes of each part but the last; S3's own bound."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive bytes of an object.

    Attributes:
        key: The object's key.
        first: The offset of the first byte.
        size: The number of bytes.
        whole: Whether they are the whole object.
        etag: The version of the object; None for any.
    """

    key: str
    first: int
    size: int
    whole: bool
    etag: str | None


async def compose(client: Client, sources: Sequence[Source], target: str) -> FileInfo:
    """Join objects of these sizes and versions; see `Driver.compose`."""
    size = sum(source.size for source in sources)
    if len(sources) == 1 and size <= client.options.copy_part_size:
        return await _copied(client, sources[0], target)
    if size <= client.options.part_size:
        async with client.parts:
            spans = [Span(each.key, 0, each.size, True, each.etag) for each in sources]
            return await put(client, target, await _read(client, spans, target))
    least = max(LEAST, -(-size // (PARTS - 1)))  # larger, if there are too many sources for a part each
    most = max(client.options.copy_part_size, least)

    async def part(upload: Upload, number: int, spans: list[Span]) -> str:
        return await _part(client, upload, number, spans)

    try:
        return await by_parts(client, target, size, parts_of(sources, least, most), part)
    except Refused as refused:  # another program aborted the upload
        raise of_missing(refused, target) from refused


async def _copied(client: Client, source: Source, target: str) -> FileInfo:
    try:
        answer = await client.ask(
            "copy_object",
            target,
            changes=True,
            Key=client.name_of(target),
            **_named(client, source),
            **client.extras,
        )
    except Refused as refused:
        raise _of_source(refused, source, target) from refused
    result = answer["CopyObjectResult"]
    return FileInfo(target, source.size, whole_second(result["LastModified"]), result["ETag"].strip('"'))


async def _part(client: Client, upload: Upload, number: int, spans: list[Span]) -> str:
    if len(spans) > 1 or (not spans[0].whole and spans[0].size < LEAST):
        async with client.parts:
            return await upload.put_part(number, await _read(client, spans, upload.key))
    (span,) = spans
    said = _named(client, span)
    if not span.whole:
        said["CopySourceRange"] = f"bytes={span.first}-{span.first + span.size - 1}"
    try:
        answer = await client.ask(
            "upload_part_copy",
            upload.key,
            Key=client.name_of(upload.key),
            UploadId=upload.id,
            PartNumber=number,
            **said,
        )
    except Refused as refused:
        raise _of_source(refused, span, upload.key) from refused
    return str(answer["CopyPartResult"]["ETag"])


def parts_of(sources: Sequence[Source], least: int, most: int) -> Iterator[list[Span]]:
    """Yield the spans of each part; each part but the last has `least` to `most` bytes."""
    gathered: list[Span] = []
    missing = least
    for source in sources:
        first, size = 0, source.size
        while first < size:
            enough = size - first >= least and not gathered
            taken = min(size - first, most if enough else missing)
            gathered.append(Span(source.key, first, taken, taken == size, source.etag))
            first += taken
            missing -= taken
            if missing <= 0:
                yield gathered
                gathered, missing = [], least
    if gathered:
        yield gathered


async def _read(client: Client, spans: Sequence[Span], target: str) -> bytes:
    """Read the spans of one part; return their bytes in order.

    Raises:
        ConditionFailed: A source is another version.
    """

    async def one(span: Span) -> bytes:
        async with open_reader(client, span.key, span.first, span.size) as reader:
            check_version(span, reader.info, target)
            return b"".join([piece async for piece in reader])

    return b"".join(await gather_map(one, spans, limit=client.options.parallel_parts))


def _named(client: Client, source: Source | Span) -> dict[str, Any]:
    said: dict[str, Any] = {
        "CopySource": {"Bucket": client.options.bucket, "Key": client.name_of(source.key)}
    }
    if source.etag is not None:
        said["CopySourceIfMatch"] = f'"{source.etag}"'
    return said


def _of_source(refused: Refused, source: Source | Span, target: str) -> RevstoreError:
    if refused.code == "PreconditionFailed":
        return other_version(source, target)
    return of_missing(refused, source.key)
