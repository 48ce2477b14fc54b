"""The signed way: frequent requests are built, signed and sent without botocore, which takes most of their time.

A client learns their address from botocore's requests: its first request goes botocore's way. It tells the
address, the bucket's path and the signed region; so does each later one. Anything but plain S3 (a
session of S3 Express, a signature for several regions, a proxy) stays on botocore's way. Requests that a server
sends elsewhere go there too: botocore finds the bucket, and the client learns the new address.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from multidict import CIMultiDict
from yarl import URL

from ..config import S3Options
from .answers import Answer, read_answer
from .bodies import PIECE, Body, deletion_of, md5_of, pieces_of, sha256_of, size_of
from .sessions import Sessions
from .sigv4 import ALGORITHM, UNSIGNED, Credentials, Signer, Term, encoded_path, encoded_query

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=.+/[0-9]{{8}}/(?P<region>[^/]+)/s3/aws4_request, SignedHeaders="
)
_ELSEWHERE: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "301",
        "302",
        "307",
        "308",
        "400",
    }
)
_HEADERS: Final = {
    "Range": "range",
    "IfMatch": "if-match",
    "ContentMD5": "content-md5",
    "IfNoneMatch": "if-none-match",
    "StorageClass": "x-amz-storage-class",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}
_QUERY: Final = {
    "PartNumber": "partNumber",
    "UploadId": "uploadId",
    "Prefix": "prefix",
    "MaxKeys": "max-keys",
    "Delimiter": "delimiter",
    "StartAfter": "start-after",
    "ContinuationToken": "continuation-token",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A request of the signed way.

    Attributes:
        name: What S3 calls it.
        method: That of HTTP.
        query: What stands in each of its queries.
    """

    name: str
    method: str
    query: Mapping[str, str]


OPERATIONS: Final = {
    "get_object": Operation("GetObject", "GET", {}),
    "head_object": Operation("HeadObject", "HEAD", {}),
    "put_object": Operation("PutObject", "PUT", {}),
    "delete_object": Operation("DeleteObject", "DELETE", {}),
    "upload_part": Operation("UploadPart", "PUT", {}),
    "delete_objects": Operation("DeleteObjects", "POST", {"delete": ""}),
    "list_objects_v2": Operation("ListObjectsV2", "GET", {"list-type": "2", "encoding-type": "url"}),
}
"""What goes the signed way, by the client's methods."""


@dataclass(frozen=True, slots=True)
class _Address:
    """The address of a bucket.

    Attributes:
        origin: Scheme and authority.
        host: The authority.
        path: The bucket's path; empty where the host has its name.
        signer: Signs for its region.
    """

    origin: str
    host: str
    path: str
    signer: Signer

    def request(
        self,
        asked: Operation,
        parameters: Mapping[str, Any],
        credentials: Credentials,
        payload: str,
        term: Term | None,
    ) -> tuple[URL, dict[str, str]]:
        """Return the target and the headers of a signed request.

        Args:
            asked: Its operation.
            parameters: As the client takes them, but the bucket.
            credentials: Whose request it is.
            payload: What stands for its body in the signature.
            term: The time in which the server takes it; None for no end but that of each signature.

        Raises:
            TypeError: The operation has no such parameter.
        """
        headers, query, path = {"host": self.host}, {**asked.query}, self.path or "/"
        for name, value in parameters.items():
            if name == "Key":
                path = f"{self.path}/{encoded_path(value)}"
            elif name in _HEADERS:
                headers[_HEADERS[name]] = str(value)
            elif name in _QUERY:
                query[_QUERY[name]] = str(value)
            elif name == "Metadata":
                headers |= {f"x-amz-meta-{each}": str(text) for each, text in value.items()}
            elif name != "Body":
                raise TypeError(f"{asked.name} has no parameter {name}")
        if term is None:
            line = encoded_query(query) if query else ""
            self.signer.sign(credentials, asked.method, path, line, headers, payload)
        else:
            line = self.signer.query(credentials, asked.method, path, query, headers, term)
        target = f"{self.origin}{path}?{line}" if line else self.origin + path
        return URL(target, encoded=True), headers


class SignedWay:
    """Frequent requests to one bucket.

    Attributes:
        told: Whether botocore's events `before-send` and `response-received` tell of these requests too, for who
            counts or delays them; it costs a request some 20 µs.
    """

    def __init__(self, options: S3Options, sessions: Sessions, agent: str) -> None:
        self._options = options
        self._sessions = sessions
        self._agent = agent
        self._address: _Address | None = None
        self._plain = options.checksums == "when_required"  # else requests need checksums that botocore makes
        self._events: Any = None
        self._credentials: Callable[[], Awaitable[Any]] | None = None
        self.told = False

    def begin(self, events: Any, credentials: Callable[[], Awaitable[Any]]) -> None:  # noqa: ANN401 (botocore's)
        """Learn from now on.

        Args:
            events: Those of the client that finds the bucket.
            credentials: Returns botocore's credentials, which know when to be fetched again.
        """
        self._events = events
        self._credentials = credentials
        events.register("before-send.s3", self._learn)

    def _learn(self, request: Any, **_: object) -> None:  # noqa: ANN401 (botocore's)
        signed = _AUTHORIZATION.match(_text(request.headers.get("Authorization", "")))
        origin, path = self._parted(request.url)
        if signed is None or path is None or self._sessions.has_proxy(request.url):
            self._address = None
            return
        region = signed["region"]
        known = self._address
        if known is None or (known.origin, known.path, known.signer.region) != (origin, path, region):
            host = origin.partition("://")[2]
            self._address = _Address(origin, host, path, Signer(region))

    def _parted(self, url: str) -> tuple[str, str | None]:
        """Return a URL's origin, and the bucket's path; None if that is not sure."""
        parts = urlsplit(url)
        origin = str(URL(url, encoded=True).origin())  # without a port that need not be named
        bucket, endpoint = self._options.bucket, self._options.endpoint_url
        in_host = parts.netloc.startswith(f"{bucket}.")
        if endpoint is not None and parts.netloc == urlsplit(endpoint).netloc:
            in_host = False
        if in_host:
            return origin, ""
        path = f"/{bucket}"
        return origin, path if parts.path == path or parts.path.startswith(f"{path}/") else None

    async def send(
        self, operation: str, parameters: Mapping[str, Any], term: Term | None = None
    ) -> Answer | None:
        """Send a request, once.

        Args:
            operation: The client's method.
            parameters: As the client takes them, but the bucket.
            term: The time in which the server takes the request, by its clock; then the signature is in the query.

        Returns:
            The answer, in botocore's shape; None if the request is to be sent botocore's way, and had no effect.

        Raises:
            ClientError: The answer is an error.
        """
        asked, address = OPERATIONS.get(operation), self._address
        if asked is None or address is None or self._credentials is None or not (self._plain or term):
            return None
        body: Body | None = parameters.get("Body")
        if operation == "delete_objects":
            body = deletion_of(parameters["Delete"])
            parameters = {"ContentMD5": await md5_of(body)}  # which some servers demand
        payload = UNSIGNED
        if body is not None and not address.origin.startswith("https:"):  # see `bodies`
            payload = await sha256_of(body)
        credentials = await (await self._credentials()).get_frozen_credentials()
        target, headers = address.request(asked, parameters, credentials, payload, term)
        headers["user-agent"] = self._agent
        headers["accept-encoding"] = "identity"
        data: Any = None
        if body is not None:
            size = len(body) if isinstance(body, bytes) else size_of(body)
            headers["content-length"] = str(size)
            data = body if isinstance(body, bytes) and size <= PIECE else pieces_of(body)
        told = self.told
        if told:
            await self._tell_before(asked, target, headers)
        try:
            session = self._sessions.signed or await self._sessions.open_signed()
            response = await session.request(
                asked.method, target, headers=headers, data=data, allow_redirects=False
            )
            try:
                return await read_answer(operation, response)
            except BaseException:
                response.close()
                raise
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ELSEWHERE:
                raise
            self._address = None  # botocore may find the bucket
            return None
        finally:
            if told:
                await self._events.emit(f"response-received.s3.{asked.name}")

    async def _tell_before(self, asked: Operation, target: URL, headers: dict[str, str]) -> None:
        request = SimpleNamespace(method=asked.method, url=str(target), headers=CIMultiDict(headers))
        await self._events.emit(f"before-send.s3.{asked.name}", request=request)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
