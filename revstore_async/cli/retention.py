"""The command retention explain: it tells the decision of retention rules about one tag or manifest."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from ..collector import Explanation, Progress
from ..formats.names import Reference
from ..registry import Registry
from .collecting import amount, read_retention, retention_option, told
from .inputs import ReferenceType
from .session import Session, shared_options


@click.group()
def retention() -> None:
    """Look at the decisions of retention rules."""


@retention.command()
@click.argument("reference", metavar="REF", type=ReferenceType())
@retention_option
@shared_options
@click.pass_obj
def explain(session: Session, reference: Reference, path: Path | None) -> None:
    """Print whether a tag or manifest stays, the rule that decides, and all that would go with it."""
    rules = read_retention(path)

    async def work(registry: Registry) -> None:
        progress, target = Progress(), str(reference.target)
        async with told(progress):
            found = await registry.collector.explain(reference.repository, target, rules, progress=progress)
        session.say(asdict(found), "\n".join(_lines(reference, found)))

    session.within(work)


def _lines(reference: Reference, found: Explanation) -> Iterator[str]:
    yield f"{reference} {'stays' if found.stays else 'expires'}: {found.why}"
    yield from (f"  {condition}" for condition in found.conditions)
    yield f"{'would take' if found.stays else 'takes'} along: {amount(found.takes)}"
    if found.young and not found.stays:
        yield "it is young: the collector leaves it alone for now"


COMMANDS = (retention,)
