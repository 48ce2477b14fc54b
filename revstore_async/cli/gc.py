"""The commands gc: they free the space of garbage."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import click

from ..collector import Collected, Plan, Progress, Retention
from ..registry import Registry
from .collecting import amount, read_retention, retention_option, told
from .gc_state import STATE_COMMANDS
from .session import Command, Session, shared_options


@click.group()
def gc() -> None:
    """Free the space of garbage: content without a manifest that needs it.

    A tag, a pin or a rule keeps a manifest with all of its references. Untagged manifests stay unless a rule
    lets them expire. Do not run garbage-collect of Docker Distribution on a store with signatures: it deletes them.
    """


def shared_option(command: Command) -> Command:
    """Add `--shared` to a command."""
    return click.option(
        "--shared",
        is_flag=True,
        help="Docker Distribution writes to the store while no run is open: all that a link of a layer leads to"
        " stays.",
    )(command)


def rate_option(command: Command) -> Command:
    """Add `--requests-per-second N` to a command, as its argument `rate`."""
    return click.option(
        "--requests-per-second",
        "rate",
        type=click.FloatRange(min=1),
        metavar="N",
        help="Send at most so many requests a second to the storage, so that clients do not feel the run.",
    )(command)


@gc.command()
@retention_option
@click.option(
    "--offline", is_flag=True, help="Nothing else is at work on the store: what is young may go, too."
)
@shared_option
@rate_option
@click.option(
    "--verbose",
    is_flag=True,
    help="Name each key that goes, and each manifest that stays by itself, with the reason; its children and"
    " referrers, which stay with it, are left out.",
)
@shared_options
@click.pass_obj
def plan(
    session: Session, path: Path | None, *, offline: bool, shared: bool, rate: float | None, verbose: bool
) -> None:
    """Print the plan of a run, with reasons; delete nothing."""
    retention = read_retention(path)

    async def work(registry: Registry) -> None:
        async with _planned(registry, retention, offline=offline, shared=shared, rate=rate) as (found, _):
            _show(session, found, verbose=verbose)

    session.within(work)


@gc.command()
@retention_option
@click.option(
    "--offline", is_flag=True, help="Nothing else is at work on the store: no server, no other command."
)
@shared_option
@rate_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--verbose", is_flag=True, help="Name each key that goes, with the reason.")
@shared_options
@click.pass_obj
def apply(
    session: Session,
    path: Path | None,
    *,
    offline: bool,
    shared: bool,
    rate: float | None,
    yes: bool,
    verbose: bool,
) -> None:
    """Print the plan of a run, ask, and carry it out while clients push.

    Say 'revstore gc enable' once before. The run waits until every server knows of it, some eleven minutes. With
    --offline it does not: then stop all servers of the store before, or run them with --read-only. A run that is
    killed leaves the store in order; the next run deletes the rest.
    """
    retention = read_retention(path)

    async def work(registry: Registry) -> None:
        if not offline:
            await registry.collector.check_run()
        async with _planned(registry, retention, offline=offline, shared=shared, rate=rate) as (
            found,
            progress,
        ):
            details = _details(found) if session.as_json and verbose else {}
            if not session.as_json:
                _show(session, found, verbose=verbose)
            if found.numbers.keys and not (
                yes or await asyncio.to_thread(click.confirm, "Delete it?", err=True)
            ):
                raise click.Abort
            if offline:
                async with told(progress):
                    await registry.collector.apply(found, requests_per_second=rate, progress=progress)
                session.say({**_value(found), **details}, f"deleted: {amount(found.numbers)}")
                return
            async with told(progress):
                collected = await registry.collector.run(found, requests_per_second=rate, progress=progress)
            _say_collected(session, found, collected, details)

    session.within(work)


@asynccontextmanager
async def _planned(
    registry: Registry, retention: Retention | None, *, offline: bool, shared: bool, rate: float | None
) -> AsyncIterator[tuple[Plan, Progress]]:
    progress = Progress()
    async with told(progress):
        found = await registry.collector.plan(
            retention, offline=offline, shared=shared, requests_per_second=rate, progress=progress
        )
    try:
        yield found, progress
    finally:
        found.close()


def _value(found: Plan) -> dict[str, object]:
    return {**asdict(found.numbers), "unreadable": found.unreadable, "notes": found.notes}


def _details(found: Plan) -> dict[str, list[dict[str, object]]]:
    """Return each key that goes and each manifest that stays, with the reasons."""
    return {
        "going": [{"key": each.key, "bytes": each.size, "why": each.why} for each in found.going()],
        "staying": [
            {"repository": each.repository, "digest": each.digest, "why": each.why}
            for each in found.staying()
        ],
    }


def _say_collected(session: Session, plan: Plan, found: Collected, details: Mapping[str, object]) -> None:
    value = {
        **_value(plan),
        **asdict(found.numbers),
        "run": found.run,
        "spared": dict(found.spared),
        "left": found.left,
        **details,
    }
    lines = [f"deleted: {amount(found.numbers)}"]
    lines += [f"stays after all: {keys} keys: {why}" for why, keys in found.spared.items()]
    if found.left:
        lines.append(f"left to the next run: {found.left} keys")
    session.say(value, "\n".join(lines))


def _show(session: Session, found: Plan, *, verbose: bool) -> None:
    value = _value(found)
    lines = [f"would go: {amount(found.numbers)}"]
    lines += [
        f"all of {name} stays: its manifest {digest} can't be read"
        for name, digest in found.unreadable.items()
    ]
    lines += found.notes
    if verbose:
        details = _details(found)
        value |= details
        lines += [f"goes: {each['key']} ({each['bytes']} bytes): {each['why']}" for each in details["going"]]
        lines += [
            f"stays: {each['repository']}@{each['digest']}: {each['why']}" for each in details["staying"]
        ]
    session.say(value, "\n".join(lines))


for _command in STATE_COMMANDS:
    gc.add_command(_command)

COMMANDS = (gc,)
