"""Puts a server together from the options of the command line, and runs it."""

import asyncio
import json
import logging
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from ..collector import Retention
from ..driver import open_driver, without_secrets
from ..policy import Policy
from ..registry import Registry
from ..server import (
    AccessPolicy,
    BearerTokens,
    Delegation,
    Everybody,
    Htpasswd,
    ReadOnly,
    RegistryApp,
    ServerOptions,
    served,
)
from ..server.observing.access_log import LOGGER
from ..server.observing.log_stream import output_that_never_waits
from ..server.running.collecting import collecting
from ..server.running.purging import purging
from ..server.running.uvicorn_server import ListenOptions, run
from .serve_options import Serving, is_loopback
from .session import Session
from .starting import check_store

_LOG = logging.getLogger("revstore_async.server")


def serve_until_told(serving: Serving, session: Session) -> None:
    """Serve until a signal. Meanwhile neither output nor log waits for its reader.

    Raises:
        RevstoreError: The store can't be opened, or a file of users or keys can't be used.
        ClickException: The store does not work, even after the wait for it.
        OSError: The server can't listen at the address.
        Abort: The signal was SIGINT.
    """
    try:
        with output_that_never_waits(_gap, _gap_of_errors):
            _serve_until_told(serving, session)
    except KeyboardInterrupt as error:
        # click writes of a KeyboardInterrupt to standard error, and would wait for a reader that stands still.
        raise click.Abort from error


def _serve_until_told(serving: Serving, session: Session) -> None:
    _log(serving.log_level)
    access = _access(serving)
    if not (serving.open_to_writes or serving.read_only or serving.tls_cert or is_loopback(serving.host)):
        _LOG.warning("credentials come in without TLS, unless a proxy before this server sees to it")
    asyncio.run(
        check_store(serving.store, writes=not serving.read_only, wait=serving.wait_for_store or timedelta(0))
    )
    if serving.gc_retention:
        Retention.read(serving.gc_retention)
    driver = open_driver(serving.store)
    metrics = tracing = None
    if serving.metrics:
        from ..server.observing.metrics import Metrics  # noqa: PLC0415 (an extra of its own)

        metrics = Metrics()
        driver = metrics.around_driver(driver)
    if serving.tracing:
        from ..server.observing.tracing import Tracing  # noqa: PLC0415 (an extra of its own)

        tracing = Tracing()
        driver = tracing.around_driver(driver)
    registry = Registry(
        driver,
        policy=Policy(check_layers=serving.check_layers),
        memory_wait=timedelta(seconds=serving.body_timeout),
        pull_times=serving.pull_times,
    )
    options = _options(serving)
    server = RegistryApp(registry, access=access, options=options)
    app = served(server, limit=serving.limit, writes=not serving.read_only, metrics=metrics, tracing=tracing)
    opened = collecting(
        purging(registry, serving.purges_after),
        registry,
        serving.gc or serving.gc_every,
        serving.gc_retention,
    )
    listen = _listen_options(serving, options)
    run(app, opened, listen, lambda url: _welcome(session, serving, url), access.reload)


def _listen_options(serving: Serving, options: ServerOptions) -> ListenOptions:
    return ListenOptions(
        host=serving.host,
        port=serving.port,
        certificate=serving.tls_cert,
        key=serving.tls_key,
        proxies=serving.trusted_proxy,
        grace=timedelta(seconds=serving.grace),
        body_timeout=options.body_timeout,
        head_timeout=timedelta(seconds=serving.head_timeout),
        idle_timeout=timedelta(seconds=serving.idle_timeout),
        connections=serving.connections,
    )


def _access(serving: Serving) -> AccessPolicy:
    if serving.htpasswd:
        return Htpasswd(serving.htpasswd, failures=serving.password_failures)
    if serving.token_issuer and serving.token_service and serving.token_keys and serving.token_realm:
        return BearerTokens(
            serving.token_issuer, serving.token_service, serving.token_keys, serving.token_realm
        )
    return ReadOnly() if serving.read_only else Everybody()


def _options(serving: Serving) -> ServerOptions:
    return ServerOptions(
        body_timeout=timedelta(seconds=serving.body_timeout),
        blob_limit=serving.blob_limit,
        delegation=_delegation(serving),
        verify_blobs=serving.verify_blobs,
        origins=serving.cors_origin,
    )


def _delegation(serving: Serving) -> Delegation | None:
    if serving.delegate is None:
        return None
    rule = Delegation(minimum_size=serving.delegate, networks=serving.delegate_network or None)
    return replace(rule, expires=serving.delegate_expires) if serving.delegate_expires else rule


def _log(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if level != "debug":  # uvicorn repeats our messages, and warns of each client that tries TLS first
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter("%(message)s"))
    LOGGER.addHandler(lines)
    LOGGER.propagate = False


def _gap(lines: int) -> str:
    """Return the access log's line that stands for the lines dropped since its reader stood still."""
    return json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "dropped": lines}) + "\n"


def _gap_of_errors(lines: int) -> str:
    said = f"{lines} lines of the log were dropped, since its reader stood still"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} WARNING revstore_async.server: {said}\n"


def _welcome(session: Session, serving: Serving, url: str) -> None:
    store = without_secrets(serving.store)
    next_line = _next_line(serving, url)
    session.say(
        {"url": url, "store": store, "try": next_line},
        f"A registry on {store} listens at {url}\nTry:  {next_line}",
    )
    sys.stdout.flush()


def _next_line(serving: Serving, url: str) -> str:
    if serving.read_only:
        return f"curl {url}/v2/_catalog"
    options = "" if serving.tls_cert else " --dest-tls-verify=false"
    if serving.htpasswd:
        options += " --dest-creds USER:PASSWORD"
    host = url.partition("://")[2]
    return f"skopeo copy{options} docker://docker.io/library/busybox docker://{host}/busybox"
