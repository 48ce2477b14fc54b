"""Bodies of requests on their way: whole, and without holding up the loop.

botocore would hash each body for its signature, on the loop: 4 ms for each 8 MiB, and as many at once as there
are parts under way. So the signature leaves the body out, as S3 offers. What keeps it whole instead is TLS, or
without TLS its MD5, which is made in a thread and is one of the headers that are signed.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, Final

Body = bytes | BytesIO
"""A body; a `BytesIO` is sent whole, wherever it stands, and may be sent again."""

_SENT_AS_FILE: Final = (
    1 << 20
)  # from here on aiohttp wants a file for a body: it writes bytes without a pause
_PIECE: Final = 256 << 10  # bytes that are handed to the connection at a time
_HASHED_HERE: Final = 64 << 10  # bytes that take less than a thread


def size_of(body: Body) -> int:
    """Return the size of a body in bytes."""
    if isinstance(body, bytes):
        return len(body)
    with body.getbuffer() as content:
        return len(content)


async def prepared(body: Body, *, secure: bool) -> dict[str, Any]:
    """Return the parameters of a request that has a body.

    Args:
        body: The body.
        secure: Whether it goes over TLS.
    """
    parameters: dict[str, Any] = {"Body": body}
    if not secure:
        size = size_of(body)
        parameters["ContentMD5"] = _md5(body) if size <= _HASHED_HERE else await asyncio.to_thread(_md5, body)
    return parameters


def as_file(body: Body) -> Body:
    """Return a body as botocore's way takes it."""
    if isinstance(body, BytesIO):
        body.seek(0)
        return body
    return BytesIO(body) if len(body) >= _SENT_AS_FILE else body


def pieces_of(body: Body) -> bytes | AsyncIterator[memoryview]:
    """Return a body as the signed way takes it: a large one is not copied."""
    if isinstance(body, BytesIO):
        return _pieces(body.getbuffer())
    return _pieces(memoryview(body)) if len(body) > _PIECE else body


async def _pieces(content: memoryview) -> AsyncIterator[memoryview]:
    with content:
        for begin in range(0, len(content), _PIECE):
            with content[begin : begin + _PIECE] as piece:
                yield piece


def _md5(body: Body) -> str:
    content = body if isinstance(body, bytes) else body.getbuffer()
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode("ascii")
