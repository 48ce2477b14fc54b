"""The collector of the soak: processes of `revstore gc` and `revstore du`."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .clients import EXPIRES_AFTER
from .pulling import HISTORY
from .pushing import LEASE
from .tally import Tally

RETENTION = f"""
history = "{HISTORY:.0f}s"

[[rule]]
repositories = "ci/**"
tags = "*"
keep = {{ younger = "{EXPIRES_AFTER:.0f}s" }}

[[rule]]
untagged = true
keep = {{ younger = "15s" }}
"""
"""The retention rules of the soak."""


KILLED = 0.3
"""The share of runs of the collector that may be killed."""

UNDER_WAY = " is open ("
"""A part of the message that another run is open."""

_ENDS_WITHIN = 300.0
"""Seconds for the last runs, once all is quiet."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended.

    Attributes:
        code: Its exit code.
        said: The JSON that it printed last; None if it printed nothing.
        errors: Its standard error.
    """

    code: int
    said: Any
    errors: str


class Commands:
    """Runs commands of `revstore` on the store of a soak, each in a process of its own."""

    def __init__(self, store: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.retention = folder / "retention.toml"
        self.retention.write_text(RETENTION)
        self._store = store
        self._environment = {**os.environ, **environment}

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin a command."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "revstore_async.cli", "--store", self._store, "--json", *arguments),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Ran:
        """Run a command to its end."""
        return await ended(await self.begin(*arguments))


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """Wait for the end of a command."""
    output, errors = await process.communicate()
    lines = output.decode().splitlines()
    return Ran(process.returncode or 0, json.loads(lines[-1]) if lines else None, errors.decode())


class Collecting:
    """The collector at work without pause: one run after another, some of them killed.

    Args:
        commands: The commands.
        tally: The counts.
        chance: The random numbers.
    """

    def __init__(self, commands: Commands, tally: Tally, chance: random.Random) -> None:
        self._commands = commands
        self._tally = tally
        self._chance = chance

    async def prepare(self) -> None:
        """Set bounds of seconds, and allow runs."""
        bounds = ("--keep", "1s", "--link-within", "5s", "--lease", f"{LEASE:.0f}s", "--hold", "5s")
        await self._done("gc", "bounds", "--offline", *bounds)
        await self._done("gc", "enable")

    async def work(self, stop: asyncio.Event) -> None:
        """Run the collector again and again until told to stop; kill it now and then."""
        await asyncio.sleep(LEASE + 2)  # runs are allowed one lease after the command
        while not stop.is_set():
            process = await self._commands.begin(*self._apply)
            killer = asyncio.create_task(self._kill(process)) if self._chance.random() < KILLED else None
            ran = await ended(process)
            if killer is not None:
                killer.cancel()
            self._note(ran)
            await asyncio.sleep(self._chance.uniform(0, 2))

    async def run(self) -> bool:
        """Run the collector until a run frees nothing; return whether none failed."""
        end = time.monotonic() + _ENDS_WITHIN
        while time.monotonic() < end:
            ran = await self._commands.run(*self._apply)
            self._note(ran)
            if ran.code == 0 and ran.said["keys"] == 0:
                return True
            await asyncio.sleep(2)
        self._tally.fail(f"the collector frees keys for {_ENDS_WITHIN:.0f} s after all clients ended")
        return False

    @property
    def _apply(self) -> tuple[str, ...]:
        return ("gc", "apply", "--yes", "--retention", str(self._commands.retention))

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        await asyncio.sleep(self._chance.uniform(2, 45))
        process.kill()

    def _note(self, ran: Ran) -> None:
        events = self._tally.events
        if ran.code == -signal.SIGKILL:
            events["kills of the collector"] += 1
        elif ran.code == 0:
            events["runs"] += 1
            events["keys freed"] += ran.said["keys"]
            events["bytes freed"] += ran.said["bytes"]
            for why, keys in ran.said["spared"].items():
                events[f"keys that stayed after all: {why}"] += keys
        elif UNDER_WAY in ran.errors:
            events["runs refused, since one was open"] += 1
        else:
            self._tally.fail(f"a run of the collector ended with {ran.code}: {ran.errors[-500:]}")

    async def _done(self, *arguments: str) -> None:
        ran = await self._commands.run(*arguments)
        if ran.code:
            raise ChildProcessError(f"{' '.join(arguments)} ended with {ran.code}: {ran.errors}")
