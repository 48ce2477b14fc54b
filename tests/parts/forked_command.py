"""The `revstore` command for a shell, forked from one process that has imported it.

A transcript has dozens of commands, and each process of its own would spend most of its time on imports. A
fork runs the same code, with the arguments, folder, variables and open files of the shell.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from revstore_async.cli.commands import run

_CLIENT = """
import array, os, sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket
server = socket(AF_UNIX, SOCK_STREAM)
server.connect(sys.argv[1])
variables = [f"{name}={value}" for name, value in os.environ.items()]
parts = [os.getcwd(), str(len(sys.argv) - 2), *sys.argv[2:], *variables]
data = b"\\0".join(map(os.fsencode, parts)) + b"\\0\\0"
server.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", [0, 1, 2]))])
sys.exit(server.recv(1)[0])
"""


@contextmanager
def forked_command(folder: Path) -> Iterator[str]:
    """Run the process to fork from; yield the line with which a bash uses it for `revstore`."""
    path = folder / "socket"
    client = folder / "client.py"
    client.write_text(_CLIENT)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", __name__, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            cwd=Path(__file__).parents[2],
        )
    try:
        yield f'revstore() {{ {sys.executable} -I -S {client} {path} "$@"; }}'
    finally:
        process.kill()
        process.wait()


def _serve(listening: socket.socket) -> None:
    """Fork for each connection; the child is the command."""
    import_module("revstore_drivers.filesystem")  # by which the commands open their store
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        listening.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = _command(connection)
        connection.sendall(bytes([code]))
        os._exit(code)


def _command(connection: socket.socket) -> int:
    data, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\0\0"):
        data += connection.recv(1 << 20)
    folder, count, *rest = map(os.fsdecode, data[:-2].split(b"\0"))
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    arguments = rest[: int(count)]
    os.environ.clear()
    for variable in rest[int(count) :]:
        name, _, value = variable.partition("=")
        os.environ[name] = value
    sys.argv = ["revstore", *arguments]
    try:
        return run(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
