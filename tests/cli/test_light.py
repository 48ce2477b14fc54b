"""What the command loads: each way of asking loads what it needs, and no more. Modules are counted, not seconds."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
import pytest

import revstore_async
from revstore_async.cli.commands import COMMANDS, revstore

HEAVY = frozenset(
    {
        "aiobotocore",
        "aiohttp",
        "anyio",
        "asyncio",
        "bcrypt",
        "boto3",
        "botocore",
        "cryptography",
        "jwcrypto",
        "obstore",
        "prometheus_client",
        "revstore_async.errors",
        "revstore_async.registry",
        "revstore_drivers",
        "starlette",
        "uvicorn",
    }
)
ENGINE = frozenset(  # cryptography loads bcrypt itself
    {
        "anyio",
        "asyncio",
        "bcrypt",
        "cryptography",
        "jwcrypto",
        "revstore_async.errors",
        "revstore_async.registry",
    }
)


def loaded_by(program: str, *arguments: str, code: int = 0) -> Sequence[str]:
    """Run a program in a process of its own, and return what it loaded of all that is heavy."""
    within = f"import sys\ntry:\n    {program}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", within, *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return sorted(HEAVY & set(ran.stderr.split()))


def command(*arguments: str, code: int = 0) -> Sequence[str]:
    return loaded_by("from revstore_async.cli import main; main()", *arguments, code=code)


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--version",)])
def test_help_loads_neither_the_engine_nor_a_driver_nor_the_server(arguments: tuple[str, ...]):
    assert command(*arguments) == []


def test_a_command_on_a_folder_loads_no_other_driver_and_no_server(tmp_path: Path):
    assert set(command("tags", "hello", "--store", tmp_path.as_uri(), code=1)) - ENGINE == {
        "revstore_drivers"
    }


def test_a_list_of_repositories_needs_no_registry(tmp_path: Path):
    loaded = set(command("ls", "--store", tmp_path.as_uri()))
    assert loaded == {"anyio", "asyncio", "revstore_async.errors", "revstore_drivers"}


@pytest.mark.parametrize("name", ["ls", "put", "key"])
def test_help_on_a_command_loads_no_driver_and_no_server(name: str):
    assert set(command(name, "--help")) - ENGINE == set()


def test_help_on_serve_loads_neither_server_nor_engine():
    assert command("serve", "--help") == ["revstore_async.errors"]


def test_the_package_alone_loads_nothing_heavy_and_a_name_loads_what_it_needs():
    assert loaded_by("import revstore_async") == []
    assert "revstore_async.registry" in loaded_by("from revstore_async import Registry")
    assert "revstore_async.registry" not in loaded_by("from revstore_async import Digest")
    assert loaded_by("import revstore_async; revstore_async.errors.NotFound") == ["revstore_async.errors"]


# ---- what stands in two places is the same


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_a_command_what_the_command_says_of_itself(name: str):
    found = revstore.get_command(click.Context(revstore), name)
    assert found is not None
    assert found.name == name
    assert COMMANDS[name][1] == found.get_short_help_str(10_000)


def test_no_command_is_left_out():
    modules = {import_module(f"revstore_async.cli.{module}") for module, _ in COMMANDS.values()}
    folder = Path(next(iter(modules)).__file__ or "").parent
    defining = {path.stem for path in folder.glob("*.py") if "\nCOMMANDS = " in path.read_text()}
    assert {module for module, _ in COMMANDS.values()} == defining
    assert {each.name for module in modules for each in module.COMMANDS} == set(COMMANDS)


def test_each_public_name_is_loaded_from_where_checkers_of_types_find_it():
    tree = ast.parse(Path(revstore_async.__file__).read_text())
    (block,) = (
        each
        for each in tree.body
        if isinstance(each, ast.If) and isinstance(each.test, ast.Name) and each.test.id == "TYPE_CHECKING"
    )
    seen = {
        alias.name: "." * each.level + str(each.module)
        for each in block.body
        if isinstance(each, ast.ImportFrom) and each.module  # `errors` is a module of its own
        for alias in each.names
    }
    assert seen == revstore_async._MODULES
    assert set(seen) == set(revstore_async.__all__) - {"__version__", "errors"}
    for name in revstore_async.__all__:
        assert getattr(revstore_async, name) is not None
    assert set(revstore_async.__all__) <= set(dir(revstore_async))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        revstore_async.Nothing  # noqa: B018
