"""A shell that keeps its variables from command to command, as a reader's terminal does."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.parts.programs import without_aws

_MARK = "this-command-has-ended"


class ShellSession:
    """A bash in a folder, which is also its home, with the programs of this interpreter's environment."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        kept = {
            name: value for name, value in without_aws().items() if not name.startswith(("REVSTORE_", "XDG_"))
        }
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={**kept, "PATH": path, "HOME": str(folder), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._server: int | None = None
        self._servers = 0
        self._run("STATUS=0")

    def run(self, command: str) -> tuple[str, int]:
        """Run a command, and return its output of both kinds with its exit code."""
        return self._run(f"(exit $STATUS)\n{{\n{command}\n}} </dev/null\nSTATUS=$?")

    def start_server(self, command: str, ready: str) -> str:
        """Start a server in the background, in place of the one before; return its output up to `ready`."""
        self.end_server()
        self._servers += 1
        log = self._folder / f"server-{self._servers}.log"
        log.touch()
        # `command`, as the process must be the server itself, not a function of the shell.
        output, _ = self._run(f"command {command} >{log} 2>&1 </dev/null &\necho $!")
        self._server = int(output)
        end = time.monotonic() + 30
        while ready not in log.read_text():
            assert self.server_runs(), log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        return log.read_text()

    def end_server(self) -> int | None:
        """End the server by SIGTERM, and return its exit code; None if no server runs."""
        if self._server is None:
            return None
        _, code = self._run(f"kill {self._server}\nwait {self._server}\nSTATUS=$?")
        self._server = None
        return code

    def server_runs(self) -> bool:
        return self._run(f"kill -0 {self._server}\nSTATUS=$?")[1] == 0

    def close(self) -> None:
        self.end_server()
        self._shell.communicate("exit\n", timeout=20)

    def _run(self, script: str) -> tuple[str, int]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{script}\nprintf '\\n%s %s\\n' {_MARK} $STATUS\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(_MARK):
                return "".join(lines)[:-1], int(line.split()[1])
            lines.append(line)
        raise AssertionError("the shell ended: " + "".join(lines))


@contextmanager
def shell_session(folder: Path, variables: Mapping[str, str]) -> Iterator[ShellSession]:
    session = ShellSession(folder, variables)
    try:
        yield session
    finally:
        session.close()
