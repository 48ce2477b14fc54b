"""The collector of the soak: processes of `revstore gc` and `revstore du`."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .clients import EXPIRES_AFTER
from .pulling import HISTORY

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
