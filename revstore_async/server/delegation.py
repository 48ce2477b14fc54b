"""Delegated reads: the server redirects a client to the storage for a blob, by a URL with a limited time.

The bytes then don't pass through this process. The client must be able to reach the storage: for S3, at the
driver's `public_endpoint_url`. The server does not verify these bytes; clients verify each pulled blob by its
digest in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from ..errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """The choice of blob reads to delegate. Without the driver's `signed_urls` the server answers all reads.

    Attributes:
        minimum_size: Least size of a blob to delegate, in bytes: for small blobs the second connection costs
            more than it saves.
        networks: Only clients in one of these networks are redirected; None for all clients. The address is the
            connection's; behind a proxy, uvicorn's `--proxy-headers` takes it from a trusted proxy.
        heads: Whether a HEAD is redirected too. Otherwise the server answers it: that moves no content, saves
            the client a round trip, and tells it the digest.
        expires: How long a URL is valid, from the moment of the answer.
    """

    minimum_size: int = 0
    networks: Sequence[IPv4Network | IPv6Network] | None = None
    heads: bool = False
    expires: timedelta = timedelta(minutes=20)

    def __post_init__(self) -> None:
        if self.minimum_size < 0:
            raise InvalidArgument("minimum_size", self.minimum_size, "it is not a number of bytes")
        if self.expires <= timedelta(0):
            raise InvalidArgument("expires", self.expires, "the URL would be of no use")

    def applies(self, method: str, client: str | None) -> bool:
        """Say whether a read may be delegated, before the blob's size is known.

        Args:
            method: GET or HEAD.
            client: The client's address; None if it is not known.
        """
        if method == "HEAD" and not self.heads:
            return False
        return self.networks is None or self._within(client)

    def _within(self, client: str | None) -> bool:
        try:
            address = ip_address(client or "")
        except ValueError:  # a socket of this machine has a path
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks or ())
