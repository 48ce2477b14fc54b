"""The command serve: a registry for clients, on any store."""

import importlib
import os
import signal
from pathlib import Path

import click

from .inputs import LEAST_REST, MOST_REST, DailyType, DurationType, NetworkType, SizeType
from .serve_options import Serving
from .session import Session, shared_options

LOG_LEVELS = ("debug", "info", "warning", "error")

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


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
    type=DurationType(LEAST_REST, MOST_REST, never=True),
    help="Forget uploads that rested for so long; or never. Default: 7d, never with --read-only.",
)
@click.option("--pull-times", is_flag=True, help="Keep coarse pull times, for retention rules with `pulled`.")
@click.option(
    "--gc",
    metavar="'daily HH:MM'",
    type=DailyType(),
    help="Free the space of garbage each day at this time of the machine; one of the servers on a store does it.",
)
@click.option(
    "--gc-every",
    metavar="DURATION",
    type=DurationType("1s", "365d", seconds=True),
    help="Free the space of garbage so long after the last time; a number alone is seconds.",
)
@click.option(
    "--gc-retention",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Rules that say which tags and untagged manifests expire; see docs/collector.md.",
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
