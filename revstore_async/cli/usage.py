"""The commands du and why: they tell the bytes that repositories take, and the reasons for which content stays."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..collector import Progress, Reasons, RepositoryUsage, Usage
from ..collector.chains import COUNTED
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..registry import Registry
from .collecting import read_retention, retention_option, told
from .inputs import DigestType, RepositoryType
from .session import AnswerIsNo, Session, shared_options

_COLUMNS = ("logical", "unique", "shared")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.command()
@click.argument("repositories", metavar="[REPO]...", nargs=-1, type=RepositoryType())
@shared_options
@click.pass_obj
def du(session: Session, repositories: Sequence[RepositoryName]) -> None:
    """Print the bytes of each repository and of the store, and how many of them a run of gc could free.

    A digest counts once in a repository. Unique are the bytes that no other repository shares. Reclaimable is
    content that no tag and no manifest needs; the collector leaves its young part alone for a while.
    """

    async def work(registry: Registry) -> None:
        progress = Progress()
        async with told(progress):
            found = await registry.collector.usage(repositories, progress=progress)
        session.say(_value(found), _table(found))

    session.within(work)


@click.command()
@click.argument("digest", metavar="DIGEST", type=DigestType())
@retention_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Print at most so many chains.",
)
@shared_options
@click.pass_obj
def why(session: Session, digest: Digest, path: Path | None, limit: int) -> None:
    """Print the chains by which a digest is kept, or the time since which nothing keeps it.

    A chain begins at a repository and a reason, such as a tag. Then come the manifests, each referring to the next
    one, and the digest. The exit code is 1 if nothing keeps it.
    """
    retention = read_retention(path)

    async def work(registry: Registry) -> Reasons:
        progress = Progress()
        async with told(progress):
            return await registry.collector.why(digest, retention, limit=limit, progress=progress)

    found = session.within(work)
    session.say(_reasons_value(found), "\n".join(_reasons_lines(found)))
    if not found.kept:
        raise AnswerIsNo


def _reasons_value(found: Reasons) -> dict[str, object]:
    return {
        "digest": found.digest,
        "size": found.size,
        "kept": found.kept,
        "chains": [
            {"repository": each.repository, "root": each.root, "digests": each.digests}
            for each in found.chains
        ],
        "more": found.more,
        "since": None if found.since is None else found.since.isoformat(),
        "young": found.young,
    }


def _reasons_lines(found: Reasons) -> Iterator[str]:
    for chain in found.chains:
        yield " -> ".join([f"{chain.repository}: {chain.root}", *chain.digests])
    if found.more:
        yield f"and {'at least ' if found.more == COUNTED else ''}{found.more} more"
    if found.since is not None:
        yield f"nothing has kept it since {found.since.isoformat()}"
    if found.young:
        yield "it is young: the collector leaves it alone for now"


def _value(found: Usage) -> dict[str, object]:
    return {
        "repositories": [
            {"name": each.name, "logical": each.logical, "unique": each.unique} for each in found.repositories
        ],
        "total": {"stored": found.stored, "reclaimable": found.reclaimable, "young": found.young},
    }


def _table(found: Usage) -> str:
    rows = [("repository", *_COLUMNS), *map(_row, found.repositories)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{name:{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        for name, *cells in rows
    ]
    total = f"stored: {size(found.stored)}, reclaimable: {size(found.reclaimable)}"
    return "\n".join([*lines, f"{total} (young: {size(found.young)})"])


def _row(each: RepositoryUsage) -> tuple[str, ...]:
    return (each.name, *(size(getattr(each, column)) for column in _COLUMNS))


def size(number: int) -> str:
    """Return a number of bytes as people read it, with a unit."""
    power = min(max(number.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{number} B" if not power else f"{number / (1 << 10 * power):.1f} {_UNITS[power]}"


COMMANDS = (du, why)
