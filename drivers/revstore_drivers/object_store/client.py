"""The one way to the server: obstore's stores, the requests at once, their tries and their errors.

obstore's calls run in threads of its own. obstore drops a cancelled call with its connection, and the effect of the
call on the server stays unknown. The driver therefore waits for the end of each change (see `concurrency.settled`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import obstore

from revstore_async.concurrency import settled
from revstore_async.driver import FileInfo
from revstore_async.driver.clocks import boottime
from revstore_async.errors import AccessDenied, DriverClosed, Unavailable

from ..buckets.retries import GRACE, Slots, Tries, no_answer, seconds_for_try
from .clock import StoreClock
from .config import ObjectStoreOptions
from .errors import translated
from .stores import Store, make_store

if TYPE_CHECKING:
    from obstore import ObjectMeta

Result = TypeVar("Result")
Send = Callable[[Store], Awaitable[Result]]

MARK: Final = "revstorewrite"
"""The name of a write's mark in an object's metadata; Azure takes letters only."""


class Client:
    """An open connection to a bucket.

    Attributes:
        options: The options of the store.
        slots: Bounds the requests under way.
        clock: The store's clock.
    """

    def __init__(self, options: ObjectStoreOptions) -> None:
        self.options = options
        self.slots: Slots = Slots(options.pool)
        self.clock: StoreClock = StoreClock()
        self._store = make_store(options)
        self._patient = make_store(options, retries=options.retries)
        public = options.public_endpoint_url
        self._signer = self._store if public is None else make_store(options, endpoint=public)
        self._closed = False
        self._bucket_seen = False
        self._written = False

    def close(self) -> None:
        """Send no more requests. obstore closes its connections when nothing holds them."""
        self._closed = True

    @property
    def store(self) -> Store:
        """The store that sends each request once."""
        self._check()
        return self._store

    @property
    def patient(self) -> Store:
        """The store for the parts of uploads, for which obstore itself tries again."""
        self._check()
        return self._patient

    @property
    def signer(self) -> Store:
        """The store that signs URLs."""
        self._check()
        return self._signer

    def _check(self) -> None:
        if self._closed:
            raise DriverClosed(self.options.scheme)

    # ---- values

    def info_of(self, key: str, meta: "ObjectMeta") -> FileInfo:
        """Return an object's size, time and etag, with times in whole seconds, as every request tells them."""
        return FileInfo(
            key, meta["size"], meta["last_modified"].replace(microsecond=0), bare(meta["e_tag"] or "")
        )

    def attributes(self, mark: str = "") -> dict[str, str]:
        """Return the attributes of an object that a request stores."""
        named = {"Storage-Class": self.options.storage_class, MARK: mark or None}
        return {name: value for name, value in named.items() if value is not None}

    # ---- requests

    async def once(self, key: str, send: Send[Result]) -> Result:
        """Send one request at once; the caller holds a slot for it.

        Raises:
            Refused: The server refused the request in a way that has a meaning for the caller.
        """
        seconds = seconds_for_try(key)
        try:
            async with asyncio.timeout(seconds):
                with translated(key, self.options.shown, self.options.scheme):
                    result = await send(self.store)
        except TimeoutError as error:
            raise no_answer(key, seconds, error) from error
        self._bucket_seen = True
        return result

    async def change(self, key: str, send: Send[Result]) -> Result:
        """Take a slot, and send one request that changes the store. A cancelled call waits for its answer."""
        self._check()
        await self.slots.take(key)
        try:
            result = await settled(self.once(key, send), grace=GRACE)
        finally:
            self.slots.release()
        self._written = True
        return result

    async def ask(self, key: str, send: Send[Result], *, changes: bool = False) -> Result:
        """Take a slot and send one request; try again where that may help.

        Args:
            key: The key of the request, for messages.
            send: Sends the request once.
            changes: Whether the request changes the store.
        """
        self._check()
        tries = Tries(self.options.retries)
        while True:
            try:
                if changes:
                    return await self.change(key, send)
                await self.slots.take(key)
                try:
                    return await self.once(key, send)
                finally:
                    self.slots.release()
            except Unavailable as error:
                await tries.again(error)
            except AccessDenied as error:
                if not (changes and self.may_pass()):
                    raise
                await tries.again(error)

    def may_pass(self) -> bool:
        """Whether the store may allow a denied write the next moment: it allowed others with these credentials.

        MinIO now and then denies a write while it removes the folder with the last object in it.
        """
        return self._written

    async def check_bucket(self) -> None:
        """Check once that the bucket is there: the 404 of a HEAD is the same for a missing object.

        Raises:
            InvalidStoreURL: There is no such bucket.
        """
        if self._bucket_seen:
            return

        async def look(store: Store) -> None:
            await anext(obstore.list(store, chunk_size=1), None)

        await self.ask("", look)

    def now(self) -> float:
        """Return this process's time, in seconds of a clock that goes on in sleep, as the store's does."""
        return boottime()


def bare(etag: str) -> str:
    """Return an etag without quotes, which some answers put around it."""
    return etag.strip('"')


def quoted(etag: str) -> str:
    """Return an etag in quotes, as a condition names it."""
    return f'"{etag}"'
