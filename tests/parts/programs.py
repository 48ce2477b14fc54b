"""Other people's programs that tests compare with: there or not, found once."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped, but in CI it fails."""
    # Debian's golang and the tarball of go.dev install to a folder that isn't always on the path.
    found = shutil.which(name) or shutil.which(name, path="/usr/local/go/bin")
    if found is None:
        missing(f"{name} is not installed")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something outside the project; in CI, where nothing may be missing, fail."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason}, and CI must not go without it")
    pytest.skip(reason)
