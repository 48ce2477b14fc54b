"""The HTTP sessions, without aiohttp's own retries: the one place that relies on private names of other packages.

aiohttp sends a PUT again, and says nothing, when a connection that it had kept breaks before the answer. After
a lost answer, the second request of a conditional put finds the object of the first, and a put that succeeded would
be told as a failure. Neither aiohttp nor aiobotocore has a public option against that. A driver
therefore checks before it opens that the names are there and have an effect.
"""

import asyncio
from functools import partial
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.client_proto import ResponseHandler

from revstore_async.errors import DriverClosed, IncompatiblePackage

from ..config import S3Options
from ..errors import DRIVER

_READ_AHEAD: Final = 256 << 10  # bytes of an answer that are taken unasked; aiohttp has 64 KiB


_RELIED_ON: Final = (
    (AIOHTTPSession, "_get_session", "aiobotocore", "retries of its sessions can't be turned off"),
    (ClientSession, "_retry_connection", "aiohttp", "it may send a write twice and not say so"),
    (TCPConnector, "_factory", "aiohttp", "a connection that is closed may stay open"),
)
"""Private names: the class, the name, the class's package, and the harm where the name has no effect."""


def check_packages() -> None:
    """Check the private names on which the sessions rely: each is made by its class, and read there.

    Raises:
        IncompatiblePackage: A name is gone, or a value under it has no effect.
    """
    for owner, name, package, harm in _RELIED_ON:
        functions = [each for base in owner.__mro__ for each in vars(base).items()]
        made = hasattr(owner, name) or any(
            _mentions(each, name) for at, each in functions if at == "__init__"
        )
        read = any(_mentions(each, name) for at, each in functions if at != "__init__")
        if not (made and read):
            raise _incompatible(package, f"{owner.__name__}.{name} has no effect, so {harm}")


def _mentions(function: object, name: str) -> bool:
    code = getattr(
        function, "__code__", None
    )  # a function without one can't be looked into: it does not count
    return code is not None and name in code.co_names


def _incompatible(package: str, reason: str) -> IncompatiblePackage:
    return IncompatiblePackage("the S3 driver", f"{package} {version(package)}", reason)


class _Connection(ResponseHandler):
    """A connection that is gone when it is closed.

    Closed while a part is on its way, by a cancelled call, it would stay open until the server took the rest.
    """

    close = ResponseHandler.abort


class Sessions:
    """The sessions of one client: aiobotocore's, and that of the signed way on the same connections.

    There is therefore one pool, and TLS is set up once, as botocore does it. It is called like the class that
    it stands for, aiobotocore's.

    Attributes:
        signed: The session of the signed way, once it is open.
    """

    def __init__(self, options: S3Options) -> None:
        self._timeout = ClientTimeout(sock_connect=options.connect_timeout, sock_read=options.read_timeout)
        self._theirs: Any = None  # none before there is a client, and after its end
        self.signed: ClientSession | None = None
        self._proxies: dict[str, str] = {}

    def __call__(self, **arguments: Any) -> Any:  # noqa: ANN401 (neither is typed)
        """Return a session as aiobotocore makes it, but one that sends each request once."""
        session: Any = AIOHTTPSession(**arguments)
        opened = session._get_session  # noqa: SLF001 (see `check_packages`)

        async def opened_without_retries(proxy_url: str | None) -> ClientSession:
            found: ClientSession = await opened(proxy_url)
            found._retry_connection = False  # noqa: SLF001 (as above)
            connector: Any = found.connector
            connector._factory = partial(_Connection, loop=asyncio.get_running_loop())  # noqa: SLF001 (as above)
            return found

        session._get_session = opened_without_retries  # noqa: SLF001 (as above)
        self._theirs = session
        self._proxies = arguments.get("proxies") or {}
        return session

    def check_used(self) -> None:
        """Check that aiobotocore's client took its session from here.

        Raises:
            IncompatiblePackage: It did not.
        """
        if self._theirs is None:
            raise _incompatible(
                "aiobotocore",
                "http_session_cls has no effect, so retries of its sessions can't be turned off",
            )

    def has_proxy(self, url: str) -> bool:
        """Say whether requests to a URL go by a proxy."""
        return bool(self._proxies.get(urlsplit(url).scheme))

    async def open_signed(self) -> ClientSession:
        """Open the session of the signed way, and return it.

        Raises:
            DriverClosed: The client is closed.
        """
        if self._theirs is None:
            raise DriverClosed(DRIVER)
        beside = await self._theirs._get_session(None)  # noqa: SLF001 (as above)
        if self.signed is None:
            self.signed = ClientSession(
                connector=beside.connector,
                connector_owner=False,
                timeout=self._timeout,
                skip_auto_headers={"Content-Type"},
                auto_decompress=False,
                cookie_jar=DummyCookieJar(),
                read_bufsize=_READ_AHEAD,
            )
            self.signed._retry_connection = False  # noqa: SLF001 (as above)
        return self.signed

    async def close(self) -> None:
        """Close the session of the signed way; aiobotocore closes its own, and the connections."""
        signed, self.signed, self._theirs = self.signed, None, None
        if signed is not None:
            await signed.close()
