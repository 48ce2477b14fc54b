"""The parts that the commands on the collector share: the retention file, and the line of progress."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from ..collector import Numbers, Retention
from ..concurrency import alongside
from .session import Command

TOLD_EVERY = 0.5
"""Seconds between two lines of progress on a terminal."""


def retention_option(command: Command) -> Command:
    """Add `--retention FILE` to a command, as its argument `path`."""
    return click.option(
        "--retention",
        "path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Rules that say which tags and untagged manifests expire; see docs/collector.md.",
    )(command)


def read_retention(path: Path | None) -> Retention | None:
    """Read the retention file, if one was named.

    Raises:
        InvalidRetention: It can't be read, it is empty, or a part of it is wrong.
    """
    return None if path is None else Retention.read(path)


@asynccontextmanager
async def told(progress: object) -> AsyncIterator[None]:
    """Show on a terminal how far the work is: the text of `progress`, which changes."""
    if not sys.stderr.isatty():
        yield
        return

    async def tell() -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            click.echo(f"\r\x1b[K{progress}", nl=False, err=True)

    async with alongside(tell()):
        yield
    click.echo("\r\x1b[K", nl=False, err=True)


def amount(numbers: Numbers) -> str:
    """Return the numbers of a plan as people read them."""
    return (
        f"{numbers.keys} keys, {numbers.bytes} bytes "
        f"({numbers.tags} tags, {numbers.revisions} manifests, {numbers.blobs} blobs)"
    )
