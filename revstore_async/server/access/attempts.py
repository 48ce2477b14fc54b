"""How often addresses sent wrong passwords lately: an address that fails is slowed down."""

import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import HTTPConnection

from ...errors import InvalidArgument, TooManyAttempts

ADDRESSES: Final = 10_000
"""Addresses that are remembered at once; the one that failed longest ago is forgotten first."""

FAILURES: Final = 30
"""Wrong passwords that an address may send a minute, where no other number is given."""

_MINUTE: Final = 60.0
_IPV6_PREFIX: Final = 64  # what one customer has at least


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from: an IPv4 address, or the /64 of an IPv6 address; empty if unknown.

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
    """The wrong passwords of each address, of which one is forgiven every so often.

    An address that has not failed lately may try as much at once as it likes. One that has may have as many tries
    under way as it has failures left.

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
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, when
        self._trying: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._failed)

    @contextmanager
    def trying(self, address: str) -> Iterator[None]:
        """Have the block try a password.

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
        """Check that an address may try a password, besides those that it tries already.

        Raises:
            TooManyAttempts: It has failed too often.
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
        self._failed[address] = (level, self._clock())
        self._failed.move_to_end(address)
        while len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)

    def _limits(self, address: str) -> bool:
        return bool(self._failures and address)

    def _level(self, address: str) -> float:
        """Return how many failures are not forgiven yet; forget an address without any."""
        found = self._failed.get(address)
        if found is None:
            return 0
        level, since = found
        level -= (self._clock() - since) * self._failures / _MINUTE
        if level > 0:
            return level
        del self._failed[address]
        return 0
