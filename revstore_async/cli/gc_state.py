"""The commands gc status, cancel, enable and bounds: they show and change the state of the collector."""

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

import click

from ..collector import Bounds, Status
from ..formats.durations import UNITS
from ..registry import Registry
from .inputs import DurationType
from .session import Session, shared_options

_NAMES: Final = tuple(each.name for each in fields(Bounds))


@click.command()
@shared_options
@click.pass_obj
def status(session: Session) -> None:
    """Print the open run, the bounds that all processes agree on, and whether runs are enabled."""

    async def work(registry: Registry) -> None:
        _say(session, await registry.collector.status())

    session.within(work)


@click.command()
@shared_options
@click.pass_obj
def cancel(session: Session) -> None:
    """End the open run before it deletes.

    A run that deletes ends by itself. If its process died, any run may end it when its time is over.
    """

    async def work(registry: Registry) -> None:
        _say(session, await registry.collector.cancel())

    session.within(work)


@click.command()
@shared_options
@click.pass_obj
def enable(session: Session) -> None:
    """Say that every program that writes to the store knows the collector; runs may begin one lease later.

    Programs of before the collector do not know it. Docker Distribution does not either: it must be read-only while
    a run is open.
    """

    async def work(registry: Registry) -> None:
        _say(session, await registry.collector.enable())

    session.within(work)


_TIME: Final = DurationType("0s", "3650d", seconds=True)


@click.command()
@click.option(
    "--offline", is_flag=True, help="Nothing else is at work on the store: the new bounds hold at once."
)
@click.option("--keep", type=_TIME, metavar="TIME", help="How long a writer may keep the state in memory.")
@click.option(
    "--link-within",
    type=_TIME,
    metavar="TIME",
    help="How long a writer may take to link content that it found.",
)
@click.option("--lease", type=_TIME, metavar="TIME", help="The age below which nothing is deleted.")
@click.option(
    "--hold",
    type=_TIME,
    metavar="TIME",
    help="How long the storage may carry out a deletion after it accepted it.",
)
@shared_options
@click.pass_obj
def bounds(session: Session, /, *, offline: bool, **times: timedelta | None) -> None:
    """Print or change the times that all processes on the store agree on.

    A TIME is a number of seconds, or such as 90s, 15m, 12h or 1d. The former times hold beside the new ones until
    every process knows these: of each time the greater one.
    """
    given: dict[str, Any] = times

    async def work(registry: Registry) -> None:
        found = await registry.collector.bounds(**given, offline=offline)
        session.say(_bounds_value(found), "\n".join(_bounds_lines(found)))

    session.within(work)


def _say(session: Session, found: Status) -> None:
    value = {
        "phase": found.phase,
        "run": found.run,
        "owner": found.owner or None,
        "until": _moment(found.until),
        "is_over": found.is_over,
        "dated": found.dated,
        "keys": found.keys,
        "done": found.done,
        "enabled": _moment(found.enabled),
        "begins": _moment(found.begins),
        "last": _moment(found.last),
        "bounds": _bounds_value(found),
    }
    lines = ["no run is open"] if found.run is None else _run_lines(found)
    if found.enabled is None:
        lines.append("runs beside other programs are not enabled; see 'revstore gc enable --help'")
    else:
        lines.append(f"runs beside other programs may begin at {_moment(found.begins)}")
    if found.last is not None:
        lines.append(f"last run: {_moment(found.last)}")
    session.say(value, "\n".join([*lines, *_bounds_lines(found)]))


def _run_lines(found: Status) -> list[str]:
    lines = [
        f"run {found.run} of {found.owner}: {found.phase}",
        f"keys: {found.keys}, dealt with: {found.done}",
    ]
    if found.is_over:
        lines.append("its process did not carry on; the next run ends it")
    elif found.phase == "sweeping" and not found.dated:
        lines.append("if its process died, 'revstore gc apply --offline' ends it; no other process does")
    else:
        lines.append(f"if its process does not carry on, its time is over at {_moment(found.until)}")
    return lines


def _bounds_value(found: Status) -> dict[str, object]:
    value: dict[str, object] = {name: _seconds(getattr(found.bounds, name)) for name in _NAMES}
    later = found.later
    value["later"] = None if later is None else {name: _seconds(getattr(later, name)) for name in _NAMES}
    value["later_from"] = _moment(found.later_from)
    return value


def _bounds_lines(found: Status) -> list[str]:
    lines = [f"{name.replace('_', '-')}: {_duration(getattr(found.bounds, name))}" for name in _NAMES]
    if found.later is not None:
        changed = [name for name in _NAMES if getattr(found.later, name) != getattr(found.bounds, name)]
        told = ", ".join(
            f"{name.replace('_', '-')} {_duration(getattr(found.later, name))}" for name in changed
        )
        lines.append(f"from {_moment(found.later_from)} on: {told}")
    return lines


def _moment(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")


def _seconds(time: timedelta) -> float:
    seconds = time.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _duration(time: timedelta) -> str:
    seconds = _seconds(time)
    for unit, size in UNITS.items():
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


STATE_COMMANDS = (status, cancel, enable, bounds)
