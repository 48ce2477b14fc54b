"""The command serve: a registry for clients, on any store."""

import importlib
import ipaddress
import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

import click

from .inputs import DurationType, NetworkType, SizeType
from .purge import LEAST, MOST
from .session import Session, shared_options

LOG_LEVELS = ("debug", "info", "warning", "error")

PURGE_AFTER: Final = timedelta(days=7)
"""The age at which the server purges uploads by default: that of Docker Distribution."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The options of a server, as the command line gives them.

    Attributes:
        store: The store's URL.
        host: The address to listen at.
        port: 0 for any that is free.
        htpasswd: The file of users; None if clients send no passwords.
        password_failures: Wrong passwords that an address may send a minute; 0 for any number.
        token_issuer: The issuer of tokens; None if clients send no tokens. The next three go with it.
        token_service: The registry's name in tokens.
        token_realm: The URL at which clients get tokens.
        token_keys: The file of the issuer's public keys.
        read_only: Whether the server refuses all writes.
        allow_anonymous_writes: Whether every client may write, at any address of the server.
        check_layers: Whether the content that a manifest refers to must be there.
        tls_cert: The file of the certificate; None for plain HTTP.
        tls_key: The file of its key; None if the certificate's file has it.
        trusted_proxy: The proxies whose X-Forwarded-For the server believes.
        verify_blobs: Whether the server compares blobs that are pulled whole with their digests.
        delegate: The least bytes of a blob for which the server sends clients to the storage; None for never.
        delegate_network: The networks of the clients that it sends there; empty for all.
        delegate_expires: How long the URLs that they get are valid; None for the server's own time.
        blob_limit: The most bytes of a blob; None for any number.
        cors_origin: The origins of web pages that may use the registry in a browser.
        body_timeout: Seconds that a client may leave a body standing still.
        head_timeout: Seconds that a client may take for a request's head.
        idle_timeout: Seconds that a connection stays open without a request.
        connections: The most connections at once; None for as many as the process's handles allow.
        purge_after: How long an upload must rest before the server purges it; 0 for never, None if the option
            is absent.
        wait_for_store: How long to wait at the start for a store that does not work yet; None not to wait.
        limit: The most requests under way at once.
        grace: Seconds that requests may take to end after a signal.
        metrics: Whether the server has `/metrics`.
        tracing: Whether the server makes spans.
        log_level: The lowest level that the server logs.
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
        if self.open_to_writes and not self.allow_anonymous_writes and not is_loopback(self.host):
            raise click.UsageError(
                f"{self.host!r} is not a loopback address, and everybody who reaches it could write: "
                "give --htpasswd FILE, --token-... or --read-only, or say --allow-anonymous-writes"
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the address: a loopback address or `localhost`, no other name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def default_store() -> str:
    """Return the URL of the store in the user's data folder, by the XDG base directory specification."""
    named = Path(os.environ.get("XDG_DATA_HOME", ""))
    folder = named if named.is_absolute() else Path.home() / ".local" / "share"
    return (folder / "revstore").as_uri()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 for any free one."
)
@click.option("--htpasswd", type=_FILE, help="Users and their passwords: lines of `htpasswd -B`.")
@click.option(
    "--password-failures",
    metavar="NUMBER",
    type=click.IntRange(0),
    default=30,
    show_default=True,
    help="Wrong passwords that an address may send a minute; 0 for any number.",
)
@click.option("--token-issuer", metavar="NAME", help="The issuer of the tokens that clients send: their iss.")
@click.option("--token-service", metavar="NAME", help="This registry's name in tokens: their aud.")
@click.option("--token-realm", metavar="URL", help="The URL at which clients get a token.")
@click.option("--token-keys", type=_FILE, help="The issuer's public keys: a JWK Set.")
@click.option("--read-only", is_flag=True, help="Refuse all writes; every client may read.")
@click.option(
    "--allow-anonymous-writes", is_flag=True, help="Every client that reaches the address may write."
)
@click.option("--no-check-layers", is_flag=True, help="Take manifests whose layers are not in the store.")
@click.option(
    "--no-verify-blobs", is_flag=True, help="Leave it to clients to compare what they pull with its digest."
)
@click.option("--tls-cert", type=_FILE, help="The certificate, and those it depends on, in PEM.")
@click.option("--tls-key", type=_FILE, help="Its private key, where it is in another file.")
@click.option(
    "--trusted-proxy",
    metavar="ADDRESS",
    multiple=True,
    help="Believe the X-Forwarded-For of this address or network. May be given several times.",
)
@click.option(
    "--delegate",
    metavar="SIZE",
    type=SizeType(),
    help="Send clients to the storage for blobs from this size on, such as 10MiB, if it can.",
)
@click.option(
    "--delegate-network",
    metavar="NETWORK",
    type=NetworkType(),
    multiple=True,
    help="Send only clients of this network there, such as 10.0.0.0/8. May be given several times.",
)
@click.option(
    "--delegate-expires",
    metavar="DURATION",
    type=DurationType("1s", "7d"),
    help="How long the URLs for it are good. Default: 20m.",
)
@click.option(
    "--blob-limit", metavar="SIZE", type=SizeType(1), help="The largest blob that is taken, such as 10GiB."
)
@click.option(
    "--cors-origin",
    metavar="ORIGIN",
    multiple=True,
    help="Let web pages of this origin use the registry, such as https://ui.example. May be given several times.",
)
@click.option(
    "--body-timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    help="How long a client may leave a body standing still.",
)
@click.option(
    "--head-timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 3600),
    default=10,
    show_default=True,
    help="How long a client may take for a request's head, and for a handshake of TLS.",
)
@click.option(
    "--idle-timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    default=75,
    show_default=True,
    help="How long a connection stays open without a request.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    help="Connections at once. Default: as many as the process's handles allow, up to 4096.",
)
@click.option(
    "--purge-after",
    metavar="DURATION",
    type=DurationType(LEAST, MOST, never=True),
    help="Forget uploads that rested for so long; or never. Default: 7d, never with --read-only.",
)
@click.option(
    "--wait-for-store",
    metavar="DURATION",
    type=DurationType("1s", "1d"),
    help="Wait so long at the start for a store that does not work yet. Default: end with exit code 2.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Requests under way at once; one more is answered 503.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Seconds that requests may take to end after SIGTERM.",
)
@click.option("--metrics", is_flag=True, help="Serve metrics for Prometheus at /metrics, to every client.")
@click.option("--tracing", is_flag=True, help="Make spans for OpenTelemetry.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), default="info", show_default=True)
@shared_options
@click.pass_obj
def serve(session: Session, /, *, no_check_layers: bool, no_verify_blobs: bool, **options: object) -> None:
    """Serve a registry to docker, podman, skopeo and the like, until SIGTERM.

    Without --store and $REVSTORE_STORE, the store is a folder of yours, ~/.local/share/revstore. By default only
    this machine gets through, and may write. The server logs each request to standard output, as a line of JSON.
    """
    serving = Serving(
        store=session.url or default_store(),
        check_layers=not no_check_layers,
        verify_blobs=not no_verify_blobs,
        **options,  # type: ignore[arg-type] # click has checked them
    )
    serving.check()
    if hasattr(signal, "SIGHUP"):  # not on Windows. Once it serves, the server reads its files anew at it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    importlib.import_module("revstore_async.server")  # the error of a missing extra names it
    from .serving import serve_until_told  # noqa: PLC0415 (its imports take a while to load)

    serve_until_told(serving, session)


COMMANDS = (serve,)
