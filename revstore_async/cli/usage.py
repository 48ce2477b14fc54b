"""The command du: tells the bytes that repositories take, and those that a run of the collector could free."""

from collections.abc import Sequence

import click

from ..collector import Progress, RepositoryUsage, Usage
from ..formats.names import RepositoryName
from ..registry import Registry
from .collecting import told
from .inputs import RepositoryType
from .session import Session, shared_options

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


COMMANDS = (du,)
