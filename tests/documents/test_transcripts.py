"""The transcripts in docs/cli.md: each command has the output of the document, from the first line to the last."""

from pathlib import Path

import pytest

from tests.parts.document_blocks import ROOT, blocks_of
from tests.parts.forked_command import forked_command
from tests.parts.programs import free_port
from tests.parts.shell_session import ShellSession, shell_session
from tests.parts.transcripts import PORT, Step, Words, steps_of

CLI = "docs/cli.md"


@pytest.mark.timeout(300)  # on a busy machine; ten seconds on a free one
def test_the_commands_of_the_command_lines_document_print_what_it_shows(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    steps = [step for each in blocks_of(ROOT / CLI) for step in steps_of(each.text)]
    assert len(steps) > 50
    (shown,) = (step.output for step in steps if step.command == "cat manifest.json")
    (tmp_path / "manifest.json").write_text(shown)
    words = Words({PORT: f"127.0.0.1:{free_port()}"})
    with forked_command(tmp_path_factory.mktemp("fork")) as function, shell_session(tmp_path, {}) as shell:
        shell.run(function)
        for step in steps:
            if "listens at http" in step.output:
                _serve(shell, step, words)
            else:
                _run(shell, step, words)


def _serve(shell: ShellSession, step: Step, words: Words) -> None:
    port = words.known[PORT].rpartition(":")[2]
    words.learn(step.output, shell.start_server(f"{step.command} --port {port}", "Try:"))
    assert shell.end_server() == 0


def _run(shell: ShellSession, step: Step, words: Words) -> None:
    """Run a command; make a key again until its ID sorts among those before as in the document."""
    while True:
        output, _ = shell.run(words.in_command(step.command))
        words.learn(step.output, output)
        if words.in_order():
            return
        key = step.command.split()[-1]
        shell.run(f"rm {key}")
        words.known.popitem()
