"""The commands in the documents run, in the order of their document, in a shell with the files that they name.

`NOT_RUN` lists the commands that can't run in a test, each with its reason and with a check of its syntax.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import options as bench_options
from bench.scenarios import SCENARIOS
from tests.documents.table import TABLE, Kind, blocks_to_test
from tests.parts.certificates import certificate
from tests.parts.document_blocks import ROOT, blocks_of, commands_of
from tests.parts.minio import MinIO
from tests.parts.passwords import line
from tests.parts.programs import free_port, program
from tests.parts.shell_session import ShellSession, shell_session
from tests.parts.transcripts import PORT, steps_of

# ---- commands that can't run here


@dataclass(frozen=True, slots=True)
class NotRun:
    """Commands that a test can't run.

    Attributes:
        pattern: Matches such a command.
        reason: Why a test can't run it.
        check: Checks the command as far as possible.
    """

    pattern: str
    reason: str
    check: Callable[[str], None]


def has_a_target(command: str) -> None:
    """Check that `make` knows the target, and that its program knows the options in a variable."""
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    (target,) = (word for word in words[1:] if "=" not in word)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if target == "bench":
        bench_options.parse(shlex.split(variables.pop("BENCH", "")), tuple(SCENARIOS))
    if target == "explore":
        program = (ROOT / "tests" / "explorer" / "explore.py").read_text()
        for option in re.findall(r"--\w+", variables.pop("EXPLORE", "")):
            assert f'add_argument("{option}"' in program.replace("(\n        ", "(")
        if seed := variables.pop("SEED", ""):
            assert re.fullmatch(r"[\w-]+@[\w-]+@(\d+:\d+,?)+", seed)
    if target == "soak":
        program = (ROOT / "tests" / "soak" / "__main__.py").read_text()
        for option in re.findall(r"--\w+", variables.pop("SOAK", "")):
            assert f'add_argument("{option}"' in program
    assert not variables


def names_extras(command: str) -> None:
    """Check that the package offers the extras that a command of pip names."""
    (extras,) = re.findall(r"revstore-async\[([\w,]+)\]", command)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def names_paths(command: str) -> None:
    """Check that the paths of tests in a command exist."""
    paths = [word for word in command.split() if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def is_read_by_bash(command: str) -> None:
    """Check the syntax of a command, which each command is checked for."""


NOT_RUN = [
    NotRun(r"make (?!serve)", "it sets up a virtual environment, and then takes minutes", has_a_target),
    NotRun(r"pip install ", "it asks an index of packages", names_extras),
    NotRun(r"docker (tag|push) ", "it needs a Docker daemon", is_read_by_bash),
    NotRun(r"skopeo copy .*docker://docker\.io/", "it needs the internet", is_read_by_bash),
    NotRun(r"htpasswd ", "it is Apache's, and asks for a password on a terminal", is_read_by_bash),
    NotRun(r"REVSTORE_TEST_SEAWEEDFS=1 ", "it needs a package of 147 MB", names_paths),
]


def not_run(command: str) -> NotRun | None:
    return next((each for each in NOT_RUN if re.match(each.pattern, command)), None)


ALL_COMMANDS = [
    pytest.param(command, id=f"{block.name}: {command}")
    for block in blocks_to_test(Kind.COMMANDS)
    for command in commands_of(block.text)
]


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_each_command_is_written_as_its_program_takes_it(command: str):
    subprocess.run(["bash", "-n", "-c", command], check=True)
    if (reason := not_run(command)) is not None:
        reason.check(command)


def test_each_reason_not_to_run_a_command_is_in_use():
    for each in NOT_RUN:
        assert any(re.match(each.pattern, str(command.values[0])) for command in ALL_COMMANDS), each.pattern


# ---- commands that run


MINIO = "127.0.0.1:9000"


def a_folder_to_push_from(folder: Path, variables: Mapping[str, str] = {}) -> Mapping[str, str]:
    """Set up the clone's examples, a manifest, users, and a certificate; skopeo trusts each image."""
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    (folder / ".config" / "containers").mkdir(parents=True)
    (folder / ".config" / "containers" / "policy.json").write_text(
        '{"default": [{"type": "insecureAcceptAnything"}]}'
    )
    steps = (step for block in blocks_of(ROOT / "docs" / "cli.md") for step in steps_of(block.text))
    (manifest,) = (step.output for step in steps if step.command == "cat manifest.json")
    (folder / "manifest.json").write_text(manifest)
    (folder / "users").write_text(line("ann") + "\n")
    certificate(folder).rename(folder / "registry.pem")
    return variables


SERVERS = {
    "make serve": "revstore serve",
    "revstore serve": "revstore serve",
    "uvicorn": "uvicorn",
}
"""Commands that go on until they are ended, and how they begin when they run here."""


def run_document(document: str, shell: ShellSession, words: Mapping[str, str]) -> list[str]:
    """Run the commands of a document; return the outputs.

    Args:
        document: The document.
        shell: The shell.
        words: Words of the document, with those that stand for them here.
    """
    outputs = []
    port = words[PORT].rpartition(":")[2]
    for documented in commands_in(document):
        command = documented
        for word, actual in words.items():
            command = command.replace(word, actual)
        server = next((start for start in SERVERS if command.startswith(start)), None)
        if server is None:
            output, code = shell.run(command)
            assert code == 0, f"{command}\n{output}"
            outputs.append(output)
        else:
            options = re.sub(r" --port \d+", "", command.removeprefix(server))
            shell.start_server(f"{SERVERS[server]} {options} --port {port}", port)
    return outputs


def commands_in(document: str) -> list[str]:
    """Return the commands of a document that run."""
    blocks = (block for block in blocks_to_test(Kind.COMMANDS) if block.document == document)
    return [command for block in blocks for command in commands_of(block.text) if not not_run(command)]


def test_the_commands_of_the_readme_run(tmp_path: Path):
    program("skopeo")
    (recipe,) = re.findall(r"^serve: .*\n\t@?\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe == SERVERS["make serve"]
    with shell_session(tmp_path, a_folder_to_push_from(tmp_path)) as shell:
        outputs = run_document("README.md", shell, {PORT: f"127.0.0.1:{free_port()}"})
    assert "Writing manifest to image destination" in outputs[0]
    assert outputs[-1].count("sha256:") == 1


def test_the_commands_of_the_quickstart_run(tmp_path: Path):
    program("skopeo")
    with shell_session(tmp_path, a_folder_to_push_from(tmp_path)) as shell:
        port = free_port()
        outputs = run_document("docs/quickstart.md", shell, {PORT: f"127.0.0.1:{port}"})
        assert '{"repositories":["hello"]}' in outputs
        # The last server is the FastAPI program.
        assert shell.run(f"curl -s http://127.0.0.1:{port}/hello") == ('"a route of the program\'s own"', 0)


def test_the_commands_of_the_http_document_change_a_tag_only_as_it_was_seen(tmp_path: Path):
    port = free_port()
    names = {
        "REGISTRY": f"http://127.0.0.1:{port}",
        "TYPE": "application/vnd.docker.distribution.manifest.v1+json",
    }
    with shell_session(tmp_path, a_folder_to_push_from(tmp_path, names)) as shell:
        shell.start_server(f"revstore serve --no-check-layers --store memory: --port {port}", str(port))
        url = "$REGISTRY/v2/library/hello/manifests/latest"
        put = f"curl -s -X PUT --data-binary @manifest.json -H Content-Type:$TYPE {url}"
        assert shell.run(put) == ("", 0)
        assert run_document("docs/http.md", shell, {PORT: f"127.0.0.1:{port}"}) == ["", ""]
        shell.run("sed s/amd64/arm64/ manifest.json > other.json")
        assert shell.run(put.replace("manifest.json", "other.json")) == ("", 0)
        (_, second) = commands_in("docs/http.md")
        assert "PRECONDITION_FAILED" in shell.run(second)[0]


def test_the_commands_of_the_drivers_document_run_on_minio(tmp_path: Path, minio: MinIO):
    (minio.folder / "images").mkdir(exist_ok=True)
    words = {
        PORT: PORT,
        MINIO: minio.url.removeprefix("http://"),
        "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID={minio.user}",
        "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY={minio.password}",
    }
    with shell_session(tmp_path, {}) as shell:
        assert run_document("docs/drivers.md", shell, words) == ["", ""]


def test_each_document_with_commands_that_run_has_a_test():
    documents = {document for document in TABLE if commands_in(document)}
    assert documents == {
        "README.md",
        "docs/collector.md",
        "docs/quickstart.md",
        "docs/http.md",
        "docs/drivers.md",
        "docs/performance.md",
    }


def test_the_commands_of_the_collectors_document_run(tmp_path: Path):
    (rules,) = (block.text for block in blocks_of(ROOT / "docs" / "collector.md") if block.language == "toml")
    (tmp_path / "retention.toml").write_text(rules)
    (tmp_path / "index.json").write_text('{"mediaType": "application/vnd.example+json"}')
    with shell_session(tmp_path, {"REVSTORE_STORE": "file:./images"}) as shell:
        assert shell.run("revstore put preview/app:1 index.json")[1] == 0
        words = {
            PORT: f"127.0.0.1:{free_port()}",
            "gc apply": "gc apply --yes",
        }  # a reader answers the question on a terminal
        planned, applied, enabled, *_ = run_document("docs/collector.md", shell, words)
        assert planned.startswith("would go: ")
        assert "1 tags" in applied
        assert "may begin at" in enabled
        assert "1" not in shell.run("revstore tags preview/app")[0].split()


def test_the_commands_of_the_performance_document_run(tmp_path: Path):
    with shell_session(tmp_path, {"PYTHONPATH": str(ROOT)}) as shell:
        (output,) = run_document("docs/performance.md", shell, {PORT: PORT})
    assert "--latency" in output
