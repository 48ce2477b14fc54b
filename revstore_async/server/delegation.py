"""Delegated reads: a client is sent to the storage for a blob, by a URL that is good for a while.

The bytes then don't pass through this process. It is the storage that must be reachable for the client then: for
S3, at the driver's `public_endpoint_url`. What the storage hands out is not verified on its way; clients verify
what they pull by its digest, as they do anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from ..errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """Which reads of blobs are delegated. It takes a driver with `signed_urls`; with another, none is.

    Attributes:
        minimum_size: Bytes of the blobs from which on it is done: for small ones the second connection costs more
            than it saves.
        networks: Only clients in one of them are sent there; None for all. The address is the connection's:
            behind a proxy, uvicorn's `--proxy-headers` says whose word counts.
        heads: Whether a HEAD is sent there too. It is answered here otherwise: that moves no content, saves the
            client a round trip, and tells it the digest.
        expires: How long a URL is good, from when it is handed out.
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
        """Say whether a read may be delegated at all, whatever the blob's size.

        Args:
            method: GET or HEAD.
            client: The client's address; None where it is not known.
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
