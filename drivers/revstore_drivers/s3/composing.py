"""Objects joined to one: by the server where they are large, through here where they are too small for its parts.

S3 copies a range of an object as a part of an upload. Each part but the last has at least 5 MiB, and a range is
copied of an object that is larger than that; so what is smaller is read, with as much of what follows as it takes
to fill a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from revstore_async.driver import FileInfo

from ..refusals import Refused
from ..turns import together
from .client import Client, whole_second
from .errors import of_missing
from .putting import put
from .reading import open_reader
from .uploads import PARTS, Upload, by_parts

LEAST: Final = 5 << 20
"""Bytes of each part but the last; S3's own bound."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some bytes of an object.

    Attributes:
        key: The object's key.
        first: Where they begin.
        size: How many they are.
        whole: Whether they are all that the object has.
    """

    key: str
    first: int
    size: int
    whole: bool


async def compose(client: Client, sources: Sequence[tuple[str, int]], target: str) -> FileInfo:
    """Join objects of these sizes; see the contract."""
    size = sum(size for _, size in sources)
    if len(sources) == 1 and size <= client.options.copy_part_size:
        return await _copied(client, sources[0], target)
    if size <= client.options.part_size:
        async with client.parts:
            content = await _read(client, [Span(key, 0, each, True) for key, each in sources])
            return await put(client, target, content)
    least = max(LEAST, -(-size // (PARTS - 1)))  # where there are too many sources for a part each
    most = max(client.options.copy_part_size, least)

    async def part(upload: Upload, number: int, spans: list[Span]) -> str:
        return await _part(client, upload, number, spans)

    try:
        return await by_parts(client, target, size, parts_of(sources, least, most), part)
    except Refused as refused:  # the upload is gone: aborted, or purged
        raise of_missing(refused, target) from refused


async def _copied(client: Client, source: tuple[str, int], target: str) -> FileInfo:
    key, size = source
    try:
        answer = await client.ask(
            "copy_object",
            target,
            changes=True,
            Key=client.name_of(target),
            CopySource=_source(client, key),
            **client.extras(),
        )
    except Refused as refused:
        raise of_missing(refused, key) from refused
    result = answer["CopyObjectResult"]
    return FileInfo(target, size, whole_second(result["LastModified"]), result["ETag"].strip('"'))


async def _part(client: Client, upload: Upload, number: int, spans: list[Span]) -> str:
    if len(spans) > 1 or (not spans[0].whole and spans[0].size < LEAST):
        async with client.parts:
            return await upload.put_part(number, await _read(client, spans))
    (span,) = spans
    said: dict[str, Any] = {"CopySource": _source(client, span.key)}
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
        raise of_missing(refused, span.key) from refused
    return str(answer["CopyPartResult"]["ETag"])


def parts_of(sources: Sequence[tuple[str, int]], least: int, most: int) -> Iterator[list[Span]]:
    """Yield the parts, each with the spans that fill it: all but the last `least` to `most` bytes."""
    gathered: list[Span] = []
    missing = least
    for key, size in sources:
        first = 0
        while first < size:
            enough = size - first >= least and not gathered
            taken = min(size - first, most if enough else missing)
            gathered.append(Span(key, first, taken, taken == size))
            first += taken
            missing -= taken
            if missing <= 0:
                yield gathered
                gathered, missing = [], least
    if gathered:
        yield gathered


async def _read(client: Client, spans: Sequence[Span]) -> bytes:
    """Read spans together, in all no more than a part."""

    async def one(span: Span) -> bytes:
        async with open_reader(client, span.key, span.first, span.size) as reader:
            return b"".join([piece async for piece in reader])

    return b"".join(await together(one, spans, limit=client.options.parallel_parts))


def _source(client: Client, key: str) -> dict[str, str]:
    return {"Bucket": client.options.bucket, "Key": client.name_of(key)}
