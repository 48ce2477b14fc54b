"""The one way to the server: each driver has one session and one client, which send, retry and translate errors.

Frequent requests go the signed way (`wire.requests`), all others go the way of aioboto3's client. The caller
can't tell the difference. Neither botocore nor aiohttp may retry (see `wire.sessions`): they can't say whether
an earlier try had its effect, and the meaning of a failed condition depends on that.

botocore is tuned, each step by measurement:

* It doesn't validate parameters, for the driver makes them all.
* It makes checksums only where S3 demands them, and leaves bodies out of signatures (see `bodies`).
* It reads times by our parser, and sends a fixed user agent.
* It sends no `Expect: 100-continue`: that costs each PUT a round trip, and waits for ever for a silent server.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.response import StreamingBody
from aiobotocore.session import AioSession
from botocore.handlers import add_expect_header
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError

from revstore_async.concurrency import in_thread, settled
from revstore_async.driver import FileInfo
from revstore_async.driver.deadline import SLOWEST
from revstore_async.errors import (
    AccessDenied,
    DeletionExpired,
    DriverClosed,
    InvalidStoreURL,
    Unavailable,
    Unsupported,
)

from ..buckets.retries import GRACE, Slots, Tries, no_answer, seconds_for_try
from .config import S3Options
from .errors import DRIVER, SDK_ERRORS, came_late, may_pass, of_failure, translated, was_never_sent
from .wire.answers import NEEDED, Answer, Download
from .wire.bodies import as_file, md5_of, size_of
from .wire.requests import SignedWay
from .wire.sessions import Sessions, check_packages
from .wire.sigv4 import Term
from .wire.times import date_of, parse_http_date, parse_time

_NOTHING: Final[frozenset[str]] = frozenset()


class Client:
    """An open connection to a bucket.

    Attributes:
        options: How it was opened.
        slots: The requests under way.
        parts: Those whose memory is a part, of all writers and compositions: it is bounded however many there are.
        begin: What the bucket's name of each key begins with.
        conditional_put: Whether the server honours conditions of a PUT.
        extras: The parameters of every request that makes an object.
        server: What the server calls itself; empty before its first answer.
    """

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self.slots: Slots = Slots(options.pool)
        self.parts: asyncio.Semaphore = asyncio.Semaphore(max(options.parallel_parts, options.pool // 4))
        self.begin: str = options.prefix and options.prefix + "/"
        self.extras: dict[str, Any] = _extras(options)
        self.conditional_put: bool = options.honours("conditional_put")
        self._body_limit = options.connect_timeout + options.read_timeout
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._signer: Any = None
        self._sessions = Sessions(options)
        self._signed = SignedWay(options, self._sessions, _agent())
        self.server: str = ""
        self._told: Mapping[str, str] = {}  # the headers of the last answer
        self._bucket_seen = False

    # ---- its life

    async def open(self) -> None:
        """Make the session and the client; the server is not asked anything yet.

        Raises:
            InvalidStoreURL: A file or profile that the options name is not there.
            IncompatiblePackage: aiohttp or aiobotocore lacks a name on which the sessions rely.
        """
        check_packages()
        options = self.options
        if isinstance(options.verify, str) and not await in_thread(Path(options.verify).is_file):
            raise InvalidStoreURL(options.shown, f"verify: there is no file {options.verify!r}")
        with translated("", options.shown):
            async with AsyncExitStack() as stack:
                within = _botocore(options)
                session = _session(options, within)
                self._client = await stack.enter_async_context(
                    session.client("s3", **_arguments(options, options.endpoint_url, self._sessions))
                )
                self._sessions.check_used()
                stack.push_async_callback(self._sessions.close)
                self._client.meta.events.unregister("before-call.s3", add_expect_header)
                self._client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
                self._signed.begin(self._client.meta.events, within.get_credentials)
                self._signer = self._client
                if options.public_endpoint_url is not None:
                    self._signer = await stack.enter_async_context(
                        session.client(
                            "s3", **_arguments(options, options.public_endpoint_url, Sessions(options))
                        )
                    )
                self._stack = stack.pop_all()

    async def close(self) -> None:
        """Close the connections."""
        self._client = self._signer = None
        await self._stack.aclose()

    # ---- names and values

    def name_of(self, key: str) -> str:
        """Return the bucket's name of a key."""
        return self.begin + key

    def key_of(self, name: str) -> str:
        """Return the key of a name in the bucket."""
        return name[len(self.begin) :]

    def info_of(self, key: str, answer: Answer, size: int | None = None) -> FileInfo:
        """Return the facts about an object that an answer to a GET or HEAD has."""
        size = answer["ContentLength"] if size is None else size
        return FileInfo(key, size, answer["LastModified"], answer["ETag"].strip('"'))

    # ---- requests

    async def once(
        self, operation: str, key: str, /, *, until: datetime | None = None, **parameters: object
    ) -> Answer:
        """Send one request, now: the caller holds a slot for it.

        Args:
            operation: The client's method.
            key: What it is about, for messages.
            until: The end by the server's clock, after which it refuses the request; None for none.
            **parameters: Those of the request, but the bucket.

        Raises:
            DeletionExpired: The request came after its end.
            Refused: The server refused it in a way that may mean something.
        """
        if self._client is None:
            raise DriverClosed(DRIVER)
        body: Any = parameters.get("Body")
        # aiohttp's timeouts begin when all is sent: a server that takes nothing would hold a body for ever.
        limit = None
        if body is not None:
            limit = self._body_limit + (len(body) if isinstance(body, bytes) else size_of(body)) / SLOWEST
        seconds = seconds_for_try(key, limit)
        try:
            async with asyncio.timeout(seconds):
                try:
                    if until is not None:
                        answer = await self._send_dated(operation, parameters, until)
                    elif (signed := await self._signed.send(operation, parameters)) is not None:
                        answer = signed
                    else:
                        answer = await self._send_by_botocore(operation, parameters)
                    if not answer.keys() >= NEEDED.get(operation, _NOTHING):
                        raise _not_whole(operation, answer)
                except SDK_ERRORS as error:
                    if until is not None and came_late(error, until):
                        raise DeletionExpired(key, until) from error
                    raise of_failure(error, key, self.options.shown) from error
        except TimeoutError as error:
            raise no_answer(key, seconds, error) from error
        self._bucket_seen = True
        self._told = answer["ResponseMetadata"]["HTTPHeaders"]
        self.server = self._told.get("server", "")
        return answer

    async def _send_dated(self, operation: str, parameters: dict[str, Any], until: datetime) -> Answer:
        """Send a request with a signature that ends at a time, by the server's clock.

        If the driver knows no address or no time of the server yet, one more request tells both.
        """
        for _ in range(2):
            if (now := date_of(self._told)) is not None:
                answer = await self._signed.send(operation, parameters, Term.until(until, now))
                if answer is not None:
                    return answer
            listed = await self._send_by_botocore("list_objects_v2", {"MaxKeys": 1})
            self._told = listed["ResponseMetadata"]["HTTPHeaders"]
        raise Unsupported(DRIVER, "deletions that end at a time, by way of a proxy or on S3 Express")

    async def _send_by_botocore(self, operation: str, parameters: dict[str, Any]) -> Answer:
        client, body = self._client, parameters.get("Body")
        if body is not None:
            if not client.meta.endpoint_url.startswith("https:"):
                parameters = parameters | {"ContentMD5": await md5_of(body)}
            parameters = parameters | {"Body": as_file(body)}
        answer: Answer = await getattr(client, operation)(Bucket=self.options.bucket, **parameters)
        return answer

    async def ask(
        self,
        operation: str,
        key: str,
        /,
        *,
        changes: bool = False,
        retries: int | None = None,
        until: datetime | None = None,
        **parameters: object,
    ) -> Answer:
        """Send one request when it is its turn, and again where that may help.

        Args:
            operation: The client's method.
            key: What it is about, for messages.
            changes: Whether the request changes the store: then a cancelled call waits for its answer.
            retries: Tries after the first; None for as many as the options say.
            until: The end of all tries, by the server's clock. A request with an end is tried again only if it
                surely did nothing: the server may still do one that it did not answer, which the caller must know.
            **parameters: Those of the request, but the bucket.
        """
        tries: Tries | None = None
        while True:
            try:
                await self.slots.take(key)
                try:
                    if changes:
                        return await settled(
                            self.once(operation, key, until=until, **parameters), grace=GRACE
                        )
                    return await self.once(operation, key, until=until, **parameters)
                finally:
                    self.slots.release()
            except (Unavailable, AccessDenied) as error:
                if isinstance(error, AccessDenied) and not (changes and may_pass(error)):
                    raise
                if until is not None and isinstance(error, Unavailable) and not was_never_sent(error):
                    raise
                tries = tries or Tries(self.options.retries if retries is None else retries)
                await tries.again(error)

    async def check_bucket(self) -> None:
        """Check once that the bucket is there: the 404 of a HEAD is the same for a missing object.

        Raises:
            InvalidStoreURL: There is none.
        """
        if not self._bucket_seen:
            await self.ask("list_objects_v2", "", MaxKeys=1)

    async def sign(self, operation: str, key: str, seconds: int) -> str:
        """Return a signed URL; the server is not asked."""
        if self._signer is None:
            raise DriverClosed(DRIVER)
        with translated(key, self.options.shown):
            url: str = await self._signer.generate_presigned_url(
                operation,
                Params={"Bucket": self.options.bucket, "Key": self.name_of(key)},
                ExpiresIn=seconds,
            )
        return url


def whole_second(time: datetime) -> datetime:
    """Return a time as every request tells it: MinIO's listings give thousandths, its headers seconds."""
    return time.replace(microsecond=0) if time.microsecond else time


def time_of(answer: Answer) -> datetime:
    """Return when an answer was made, by the store's clock: of an object it is the time that a PUT tells.

    Raises:
        Unavailable: It does not say.
    """
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    date = headers.get("date", "")
    try:
        return parse_http_date(date)
    except (ValueError, KeyError) as error:
        raise Unavailable("", f"an answer that was made at {date!r}") from error


def _not_whole(operation: str, answer: Answer) -> ResponseParserError:
    if isinstance(body := answer.get("Body"), StreamingBody | Download):
        body.close()
    missing = sorted(NEEDED[operation] - answer.keys())
    return ResponseParserError(f"an answer without {' and '.join(missing)}")


def _extras(options: S3Options) -> dict[str, Any]:
    named = {
        "StorageClass": options.storage_class,
        "ServerSideEncryption": options.sse,
        "SSEKMSKeyId": options.kms_key,
    }
    return {name: value for name, value in named.items() if value is not None}


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Give a request the MD5 of its body, which some servers demand of deletions; others take it as well."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode("ascii")


@cache
def _models() -> Loader:
    # Read once a process: it is half of what it takes to open a driver, and blocks the loop.
    return create_loader()


def _botocore(options: S3Options) -> AioSession:
    within = AioSession(profile=options.profile)
    within.register_component("data_loader", _models())
    within.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    return within


def _session(options: S3Options, within: AioSession) -> aioboto3.Session:
    return aioboto3.Session(
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        aws_session_token=options.session_token,
        region_name=options.region,
        botocore_session=within,
    )


def _agent() -> str:
    try:
        return f"revstore-async/{version('revstore-async')}"
    except PackageNotFoundError:
        return "revstore-async/0"


def _arguments(options: S3Options, endpoint: str | None, sessions: Sessions) -> dict[str, Any]:
    one_try: Any = sessions  # it is called like the class that it stands for
    return {
        "endpoint_url": endpoint,
        "verify": None if options.verify is True else options.verify,  # None: as AWS_CA_BUNDLE says
        "config": AioConfig(
            signature_version="s3v4",
            s3={
                "addressing_style": "path" if options.path_style else "virtual",
                "payload_signing_enabled": False,  # see `bodies`
            },
            http_session_cls=one_try,
            max_pool_connections=options.pool,
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            parameter_validation=False,
            request_checksum_calculation=options.checksums,
            response_checksum_validation=options.checksums,
            user_agent=_agent(),
        ),
    }
