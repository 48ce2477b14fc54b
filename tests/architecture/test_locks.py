"""The two locks: that of the demo is a part of the large one, and has all that the package itself needs."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-demo.lock"]


def pinned(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return version and hashes of each package of a lock."""
    text = (ROOT / lock).read_text()
    blocks = re.findall(r"^([\w.-]+)==([^\s;]+)(.*?)(?=^[\w.-]+==|\Z)", text, re.DOTALL | re.MULTILINE)
    return {name: (version, frozenset(re.findall(r"--hash=(\S+)", block))) for name, version, block in blocks}


@pytest.mark.parametrize("lock", LOCKS)
def test_each_package_has_its_hashes_and_no_host_is_named(lock: str):
    packages = pinned(lock)
    assert packages
    assert all(hashes for _, hashes in packages.values())
    assert "://" not in (ROOT / lock).read_text()


def test_the_demo_has_what_the_large_lock_has_but_less_of_it():
    demo, large = pinned("requirements-demo.lock"), pinned("requirements.lock")
    assert demo.items() <= large.items(), "run `make lock`"
    assert len(demo) < len(large) / 3


def test_the_demo_has_all_that_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^\w.-]", text)[0].lower() for text in project["dependencies"]}
    assert needed <= set(pinned("requirements-demo.lock")), "run `make lock`"
