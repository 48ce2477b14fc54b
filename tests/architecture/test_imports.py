"""Data flows one way, and each public name is documented."""

import dataclasses
import inspect
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import revstore_async
from revstore_async import driver, errors, signatures, testing

ROOT = Path(__file__).parents[2]


def test_each_floor_imports_only_from_those_below_it() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout


def public_names() -> list[tuple[str, object]]:
    modules: list[ModuleType] = [revstore_async, driver, signatures, testing]
    return [
        (f"{module.__name__}.{name}", getattr(module, name)) for module in modules for name in module.__all__
    ]


@pytest.mark.parametrize(("name", "thing"), public_names(), ids=[name for name, _ in public_names()])
def test_help_on_each_public_name_says_something(name: str, thing: object) -> None:
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return  # a constant, documented where it is defined
    assert thing.__doc__, name
    assert not thing.__doc__.startswith(f"{thing.__name__}("), "the signature is no documentation"
    if inspect.isclass(thing):
        for member, value in inspect.getmembers(thing, inspect.isfunction):
            if not member.startswith("_") and value.__module__.startswith("revstore"):
                assert inspect.getdoc(value), f"{name}.{member}"


def error_classes() -> list[type[errors.RevstoreError]]:
    return [
        thing
        for _, thing in inspect.getmembers(errors, inspect.isclass)
        if issubclass(thing, errors.RevstoreError)
    ]


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_each_error_can_tell_its_facts(error: type[errors.RevstoreError]) -> None:
    facts: dict[str, Any] = {field.name: "fact" for field in dataclasses.fields(error)}
    if "errors" in facts:
        facts["errors"] = (errors.KeyNotFound("a fact"),)
    raised = error(**facts)
    assert error.__doc__
    assert not error.__doc__.startswith(f"{error.__name__}(")
    assert str(raised).strip()
    assert isinstance(raised.retryable, bool)


def test_nothing_is_named_utils() -> None:
    names = {
        path.stem
        for folder in ("revstore_async", "drivers", "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_a_built_wheel_has_both_packages_and_their_types(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for expected in (
        "revstore_async/py.typed",
        "revstore_drivers/py.typed",
        "revstore_async/testing/__init__.py",
        "revstore_drivers/memory/__init__.py",
        "revstore_drivers/filesystem/__init__.py",
    ):
        assert expected in names
    assert not any(name.startswith(("tests", "bench", "drivers/")) for name in names)
