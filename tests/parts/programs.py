"""Other people's programs that tests compare with: there or not, found once, started on loopback."""

import os
import shutil
from typing import NoReturn

import pytest

from bench.processes import (
    CACHE,
    free_port,
    wait_until,
    without_aws,
)  # what the benchmark starts, it starts so

__all__ = ["built", "free_port", "missing", "program", "wait_until", "without_aws"]


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped, but in CI it fails."""
    # Debian's golang and the tarball of go.dev install to a folder that isn't always on the path.
    found = shutil.which(name) or shutil.which(name, path="/usr/local/go/bin")
    if found is None:
        missing(f"{name} is not installed")
    return found


def built(name: str, variable: str, *, on_path: bool = True) -> str:
    """Return the path of a program that `make <name>` builds; without it as `program`.

    Args:
        name: Its name, which is that of the target too.
        variable: The environment variable that may name another one.
        on_path: Whether any program of this name will do, rather than the version that make builds only.
    """
    cached = CACHE.expanduser() / name
    named = os.environ.get(variable) or (shutil.which(name) if on_path else None)
    found = named or (str(cached) if cached.exists() else None)
    if found is None:
        missing(f"{name} is not installed: `make {name}` builds it into {CACHE}, with Go")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something outside the project; in CI, where nothing may be missing, fail."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason}, and CI must not go without it")
    pytest.skip(reason)
