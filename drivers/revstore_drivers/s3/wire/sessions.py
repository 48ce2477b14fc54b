"""The HTTP sessions, without aiohttp's own retries.

aiohttp sends a PUT again, and says nothing, when a connection that it had kept breaks before the answer. Then
a conditional put that succeeded, but whose answer was lost, would be told as a failed one: the second request
finds the object of the first.
"""

import asyncio
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar
from aiohttp.client_proto import ResponseHandler

from revstore_async.errors import DriverClosed

from ..config import S3Options
from ..errors import DRIVER

_READ_AHEAD: Final = 256 << 10  # bytes of an answer that are taken unasked; aiohttp has 64 KiB


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
        opened = session._get_session  # noqa: SLF001 (neither package has a door for it)

        async def opened_without_retries(proxy_url: str | None) -> ClientSession:
            found: ClientSession = await opened(proxy_url)
            found._retry_connection = False  # noqa: SLF001 (as above; a test holds that it works)
            connector: Any = found.connector
            connector._factory = partial(_Connection, loop=asyncio.get_running_loop())  # noqa: SLF001 (as above)
            return found

        session._get_session = opened_without_retries  # noqa: SLF001 (as above)
        self._theirs = session
        self._proxies = arguments.get("proxies") or {}
        return session

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
