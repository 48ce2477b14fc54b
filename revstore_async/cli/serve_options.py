"""The options of the command serve, and the check that they fit together."""

import ipaddress
from dataclasses import dataclass
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

import click

PURGE_AFTER: Final = timedelta(days=7)
"""The age at which the server purges uploads by default: that of Docker Distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The options of `revstore serve`, as its command line gives them. `revstore serve --help` explains each.

    An absent option is None, or an empty tuple if it may be given several times.
    """

    store: str
    host: str
    port: int
    htpasswd: Path | None
    password_failures: int
    token_issuer: str | None
    token_service: str | None
    token_realm: str | None
    token_keys: Path | None
    read_only: bool
    allow_anonymous_writes: bool
    check_layers: bool
    tls_cert: Path | None
    tls_key: Path | None
    trusted_proxy: tuple[str, ...]
    verify_blobs: bool
    delegate: int | None
    delegate_network: tuple[IPv4Network | IPv6Network, ...]
    delegate_expires: timedelta | None
    blob_limit: int | None
    cors_origin: tuple[str, ...]
    body_timeout: int
    head_timeout: int
    idle_timeout: int
    connections: int | None
    purge_after: timedelta | None
    pull_times: bool
    gc: time | None
    gc_every: timedelta | None
    gc_retention: Path | None
    wait_for_store: timedelta | None
    limit: int
    grace: float
    metrics: bool
    tracing: bool
    log_level: str

    @property
    def open_to_writes(self) -> bool:
        """Whether clients may write without credentials."""
        return not (self.htpasswd or self.token_issuer or self.read_only)

    @property
    def purges_after(self) -> timedelta | None:
        """How long an upload must rest before the server purges it; None if it purges no uploads."""
        if self.purge_after is None:
            # A registry that refuses all writes may have no right to write to the storage either.
            return None if self.read_only else PURGE_AFTER
        return self.purge_after or None

    def check(self) -> None:
        """Check that the options fit together, and that writes are not open to the world by accident.

        Raises:
            UsageError: The options don't fit together, or writes are open.
        """
        tokens = (self.token_issuer, self.token_service, self.token_realm, self.token_keys)
        if any(tokens) and not all(tokens):
            raise click.UsageError(
                "tokens need all of --token-issuer, --token-service, --token-realm and --token-keys"
            )
        ways = (self.htpasswd, self.token_issuer, self.read_only, self.allow_anonymous_writes)
        if sum(map(bool, ways)) > 1:
            raise click.UsageError(
                "of --htpasswd, --token-..., --read-only and --allow-anonymous-writes only one is taken"
            )
        if "*" in self.cors_origin and (self.htpasswd or self.token_issuer):
            raise click.UsageError(
                "--cors-origin '*' is not taken where callers bring credentials: name the origins"
            )
        if self.tls_key and not self.tls_cert:
            raise click.UsageError("--tls-key needs --tls-cert")
        if self.delegate is None and (self.delegate_network or self.delegate_expires):
            raise click.UsageError("--delegate-network and --delegate-expires need --delegate")
        self._check_collector()
        if self.open_to_writes and not self.allow_anonymous_writes and not is_loopback(self.host):
            raise click.UsageError(
                f"{self.host!r} is not a loopback address, and everybody who reaches it could write: "
                "give --htpasswd FILE, --token-... or --read-only, or say --allow-anonymous-writes"
            )

    def _check_collector(self) -> None:
        if self.gc and self.gc_every:
            raise click.UsageError("of --gc and --gc-every only one is taken")
        if self.gc_retention and not (self.gc or self.gc_every):
            raise click.UsageError("--gc-retention needs --gc or --gc-every")
        if self.read_only and (self.gc or self.gc_every):
            raise click.UsageError(
                "the collector deletes: --gc and --gc-every are not taken with --read-only"
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the address: a loopback address or `localhost`, no other name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
