"""Counts the wrong passwords of each address, and slows down an address that sends them."""

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cachetools import LRUCache
from starlette.requests import HTTPConnection

from ...errors import InvalidArgument, TooManyAttempts

ADDRESSES: Final = 10_000
"""Addresses that are remembered at once; the one that failed longest ago is forgotten first."""

FAILURES: Final = 30
"""Wrong passwords that an address may send a minute, by default."""

_MINUTE: Final = 60.0
_IPV6_PREFIX: Final = 64  # one customer has at least one such network


def address_of(connection: HTTPConnection) -> str:
    """Return the address of a request's client: an IPv4 address, the /64 of an IPv6 address, or an empty text.

    Behind a proxy it is the proxy's address, unless the server believes the proxy's `X-Forwarded-For`.
    """
    client = connection.client
    if client is None:
        return ""
    try:
        address = ipaddress.ip_address(client.host)
    except ValueError:
        return client.host[:_IPV6_PREFIX]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)


class Attempts:
    """The wrong passwords of each address; they are forgiven one by one, `failures` a minute.

    An address without recent failures may make any number of tries at once. Any other address may have as many
    tries under way as it has failures left.

    Args:
        failures: Wrong passwords that an address may send a minute; 0 for any number.
        clock: Tells the time in seconds.

    Raises:
        InvalidArgument: The number is negative.
    """

    def __init__(self, failures: int = FAILURES, clock: Callable[[], float] = time.monotonic) -> None:
        if failures < 0:
            raise InvalidArgument("failures", failures, "it is not a number of passwords")
        self._failures: Final = failures
        self._clock: Final = clock
        self._failed: LRUCache[str, tuple[float, float]] = LRUCache(ADDRESSES)  # number of failures, time
        self._trying: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._failed)

    @contextmanager
    def trying(self, address: str) -> Iterator[None]:
        """Count the block as a try of a password.

        Raises:
            TooManyAttempts: The address has failed too often.
        """
        if not self._limits(address):
            yield
            return
        self.check(address, self._trying[address])
        self._trying[address] += 1
        try:
            yield
        finally:
            self._trying[address] -= 1
            if not self._trying[address]:
                del self._trying[address]

    def check(self, address: str, trying: int = 0) -> None:
        """Check that an address may try a password, besides the passwords under check.

        Raises:
            TooManyAttempts: The address has failed too often.
        """
        level = self._level(address)
        left = self._failures - 1 - level
        if level and trying > left:
            seconds = max(-left, 0) * _MINUTE / self._failures
            raise TooManyAttempts("too many wrong passwords came from this address", seconds)

    def failed(self, address: str) -> None:
        """Note that a password was wrong."""
        if not self._limits(address):
            return
        level = min(self._level(address) + 1, float(self._failures))
        self._failed[address] = level, self._clock()

    def _limits(self, address: str) -> bool:
        return bool(self._failures and address)

    def _level(self, address: str) -> float:
        """Return the number of failures that are not forgiven yet; forget the address if there are 0."""
        found = self._failed.get(address)
        if found is None:
            return 0
        level, since = found
        level -= (self._clock() - since) * self._failures / _MINUTE
        if level > 0:
            return level
        del self._failed[address]
        return 0
