"""The options that the documents name are those that the commands take."""

import re
from pathlib import Path

import click
import pytest

from revstore_async.cli.commands import revstore
from tests.documents.table import Kind, blocks_to_test
from tests.parts.document_blocks import DOCUMENTS, ROOT, Block

SHARED = {"--store", "--json", "--version", "--help", "-h"}
FOREIGN = {
    "--app-dir": "uvicorn",
    "--data-binary": "curl",
    "--require-hashes": "pip",
    "--tls-verify": "podman",
    "--dest-tls-verify": "skopeo",
    "--import-mode": "pytest",
    "--strict": "mypy",
}
"""Options of other programs that a document names."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):  # the parts of the command are imported one by one
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= commands(command, (*path, name))
        else:
            found[*path, name] = command
    return found


COMMANDS = commands(revstore)


def options_of(command: click.Command) -> set[str]:
    options = (each.opts + each.secondary_opts for each in command.params if isinstance(each, click.Option))
    return {option for names in options for option in names}


def own_programs_options() -> set[str]:
    """The options of the commands, the benchmark, the explorer and the soak."""
    options = set[str]().union(*map(options_of, COMMANDS.values())) | SHARED
    programs = [ROOT / "tests" / "explorer" / "explore.py", ROOT / "tests" / "soak" / "__main__.py"]
    for source in [*ROOT.glob("bench/*.py"), *programs]:
        options |= set(re.findall(r'add(?:_argument)?\(\s*"(--[\w-]+)"', source.read_text()))
        options |= {
            f"--{name}" for name in re.findall(r'^        \("(\w+)", "', source.read_text(), re.MULTILINE)
        }
    return options


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_each_option_in_a_document_exists(document: Path):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w.]|-\.)", document.read_text()))
    assert named <= own_programs_options() | set(FOREIGN)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_each_command_in_a_document_has_the_options_that_follow_it(document: Path):
    for text in re.findall(r"revstore (?:--store \S+ |--json )*([a-z][^`|\n>]*)", document.read_text()):
        words = text.split()
        command = COMMANDS.get((words[0],)) or COMMANDS.get(tuple(words[:2]))
        if command is None:
            continue  # prose, such as "the revstore command"
        wrong = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
        assert wrong <= options_of(command), text


@pytest.mark.parametrize("block", blocks_to_test(Kind.SYNOPSIS)[1:], ids=lambda block: block.first)
def test_each_synopsis_lists_the_options_of_its_command(block: Block):
    for line in block.text.splitlines():
        words = line.split()[1:]
        command = COMMANDS.get((words[0],)) or COMMANDS[tuple(words[:2])]
        named = set(re.findall(r"(?<![\w-])(?:--[a-z-]+|-[a-z]\b)", line))
        if "[OPTIONS]" in line:
            table = re.findall(r"^\| (`--.*?`) \|", (ROOT / block.document).read_text(), re.MULTILINE)
            named |= {option for row in table for option in re.findall(r"--[a-z-]+", row)}
        assert named - SHARED == options_of(command) - SHARED


def test_the_documented_commands_are_all_of_them():
    documented = set()
    for block in blocks_to_test(Kind.SYNOPSIS)[1:]:
        for line in block.text.splitlines():
            words = line.split()[1:]
            documented.add((words[0],) if (words[0],) in COMMANDS else tuple(words[:2]))
    assert documented == set(COMMANDS)
