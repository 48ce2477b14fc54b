"""Servers' answers to requests of the signed way, in the shape that botocore gives them.

The caller therefore need not know which way a request went, and an answer that is an error goes through the one
place that knows them (`errors`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, ParseError, fromstring

from aiohttp import ClientResponse
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from .times import parse_http_date, parse_time

_META: Final = "x-amz-meta-"
_FIELDS: Final[tuple[tuple[str, str, Callable[[str], object]], ...]] = (
    ("etag", "ETag", str),
    ("content-length", "ContentLength", int),
    ("last-modified", "LastModified", parse_http_date),
    ("content-range", "ContentRange", str),
)
_STAMP: Final = re.compile(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z")  # all that the common servers list


ANSWER_LIMIT: Final = 16 << 20
"""Bytes of an answer's body that is no content: a page of 1,000 keys of 900 characters, all escaped, has 3 MiB."""

Answer = dict[str, Any]
"""An answer, in botocore's shape."""


NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "get_object": frozenset({"ContentLength", "LastModified", "ETag"}),
    "head_object": frozenset({"ContentLength", "LastModified", "ETag"}),
    "put_object": frozenset({"ETag"}),
    "upload_part": frozenset({"ETag"}),
    "create_multipart_upload": frozenset({"UploadId"}),
    "complete_multipart_upload": frozenset({"ETag"}),
    "copy_object": frozenset({"CopyObjectResult"}),
    "upload_part_copy": frozenset({"CopyPartResult"}),
}
"""What answers must tell, by the client's methods: one from a proxy may look like success."""


class Download:
    """The body of an answer, on its way."""

    __slots__ = ("_response",)

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def read(self, size: int = -1) -> bytes:
        """Return the next bytes, or all; none at the end."""
        return await (self._response.read() if size < 0 else self._response.content.read(size))

    def close(self) -> None:
        """Give the connection back, or end it if there is more to come."""
        self._response.close()


async def read_answer(operation: str, response: ClientResponse) -> Answer:
    """Read an answer: its headers, and its body too but that of a GET which is still on its way.

    Args:
        operation: The client's method.
        response: The answer; its connection is given back, unless there is a `Download`.

    Returns:
        The answer's fields. `Body` is a `Download`, or bytes where all of it is here, as it mostly is of small
        objects when the headers are read.

    Raises:
        ClientError: The answer is an error.
        ResponseParserError: It makes no sense.
    """
    if response.status >= 300:
        raise error_of(operation, response, await body_of(response))
    headers = response.headers
    answer: Answer = {"ResponseMetadata": {"HTTPStatusCode": response.status, "HTTPHeaders": headers}}
    try:
        for header, name, read in _FIELDS:
            if (text := headers.get(header)) is not None:
                answer[name] = read(text)
    except (ValueError, KeyError) as error:
        raise ResponseParserError(f"headers of an answer make no sense: {error}") from error
    if operation == "get_object":
        answer["Body"] = await response.read() if response.content.is_eof() else Download(response)
        return answer
    if operation == "head_object":
        told = {name.lower(): value for name, value in headers.items()}
        answer["Metadata"] = {name[len(_META) :]: told[name] for name in told if name.startswith(_META)}
    empty = response.method == "HEAD" or answer.get("ContentLength") == 0
    content = await (response.read() if empty else body_of(response))  # it gives the connection back
    if operation == "list_objects_v2":
        answer |= listing_of(content)
    elif operation == "delete_objects":
        answer["Errors"] = failures_of(content)
    return answer


async def body_of(response: ClientResponse) -> bytes:
    """Return the body of an answer that is no content; of most there is none.

    Raises:
        ResponseParserError: It has more than `ANSWER_LIMIT` bytes.
    """
    announced = response.content_length
    if response.method == "HEAD" or (announced is not None and announced <= ANSWER_LIMIT):
        return await response.read()
    content = bytearray()
    if announced is None:
        async for piece in response.content.iter_any():
            content += piece
            if len(content) > ANSWER_LIMIT:
                break
        else:
            return bytes(content)
    raise ResponseParserError(f"an answer of more than {ANSWER_LIMIT} bytes")


def error_of(operation: str, response: ClientResponse, content: bytes) -> Exception:
    """Return the error that an answer is.

    Args:
        operation: What was asked.
        response: The answer.
        content: Its body: XML that names a code, or nothing.

    Raises:
        ResponseParserError: It is not S3's.
    """
    told = {"Code": str(response.status), "Message": response.reason or ""}
    try:
        for child in fromstring(content):  # noqa: S314 (expat limits what entities expand to)
            if (name := _bare(child.tag)) in told and child.text:
                told[name] = child.text
    except ParseError as error:
        if content and response.status < 500 and response.status != 429:
            # Of a proxy's page the status is not S3's: its 404 does not mean that there is no such object.
            raise ResponseParserError(f"an answer {response.status} that is not S3's") from error
    meta = {"HTTPStatusCode": response.status, "HTTPHeaders": response.headers}
    answer: Any = {"Error": told, "ResponseMetadata": meta}
    failure: Exception = ClientError(answer, operation)
    return failure


def listing_of(content: bytes) -> Answer:
    """Return the fields of a listing.

    Args:
        content: The XML; a page of a thousand keys takes about 3 ms.

    Raises:
        ResponseParserError: It is no listing.
    """
    try:
        return _listing(fromstring(content))  # noqa: S314 (as above)
    except (ParseError, ValueError, KeyError) as error:
        raise ResponseParserError(f"a listing that is none: {error}") from error


def failures_of(content: bytes) -> list[dict[str, str]]:
    """Return the fields of each key that was not deleted.

    Args:
        content: The answer to a deletion of objects: XML, or nothing where all went well.

    Raises:
        ResponseParserError: It is another answer.
    """
    if not content:
        return []
    try:
        root = fromstring(content)  # noqa: S314 (as above)
    except ParseError as error:
        raise ResponseParserError(f"an answer to a deletion is no XML: {error}") from error
    if _bare(root.tag) != "DeleteResult":
        raise ResponseParserError(f"an answer to a deletion is <{root.tag[:100]}>")
    children = [child for child in root if _bare(child.tag) == "Error"]
    failed = [{_bare(each.tag): each.text or "" for each in child} for child in children]
    if not all("Key" in each for each in failed):
        raise ResponseParserError("an answer to a deletion does not name the key that failed")
    return failed


def _listing(root: Element) -> Answer:
    stamp = _STAMP.fullmatch
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise ValueError(f"it is <{root.tag}>")
    contents: list[dict[str, Any]] = []
    folders: list[dict[str, str]] = []
    told: dict[str, str] = {}
    before = len(root.tag) - len("ListBucketResult")  # its namespace, which all within it have, or none
    for child in root:
        match name := child.tag[before:]:
            case "Contents":
                contents.append({each.tag[before:]: each.text or "" for each in child})
            case "CommonPrefixes":
                folders.append({each.tag[before:]: each.text or "" for each in child})
            case _:
                told[name] = child.text or ""
    for entry in contents:
        entry["Size"] = int(entry["Size"])
        time = entry["LastModified"]
        entry["LastModified"] = datetime.fromisoformat(time) if stamp(time) else parse_time(time)
    if told.get("EncodingType") == "url":
        _unescape(contents, folders)
    answer: Answer = {"Contents": contents, "CommonPrefixes": folders}
    answer["IsTruncated"] = told.get("IsTruncated") == "true"
    if "NextContinuationToken" in told:
        answer["NextContinuationToken"] = told["NextContinuationToken"]
    return answer


def _unescape(contents: list[dict[str, Any]], folders: list[dict[str, str]]) -> None:
    for name, entries in (("Key", contents), ("Prefix", folders)):
        for entry in entries:
            text = entry[name]
            if "%" in text or "+" in text:
                entry[name] = unquote_plus(text)


def _bare(tag: str) -> str:
    """Return an element's name without its namespace, which not every server gives."""
    return tag.rpartition("}")[2]
