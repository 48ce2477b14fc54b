"""MinIO, a real S3 server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from ..processes import Process, answers, built, free_port, without_aws
from ..processes import running as program_running


@dataclass(frozen=True, slots=True)
class MinIO:
    """A running MinIO.

    Attributes:
        endpoint: Its URL.
        process: Its process.
        user: The user with all rights.
        password: The user's password.
    """

    endpoint: str
    process: Process
    user: str
    password: str = field(repr=False)


@contextmanager
def running(folder: Path) -> Iterator[MinIO]:
    """Run MinIO with its files in a folder, which may have them already, for as long as the block lasts."""
    port, console = free_port(), free_port()
    user, password = "benchmark", token_hex(12)
    environment = without_aws() | {
        "MINIO_ROOT_USER": user,
        "MINIO_ROOT_PASSWORD": password,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    drive = folder / "drive"
    drive.mkdir(parents=True, exist_ok=True)
    addresses = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}"]
    command = [built("minio"), "server", str(drive), *addresses]

    def ready() -> bool:
        return answers(port, "/minio/health/ready")

    with program_running(command, environment, folder / "minio.log", ready) as process:
        yield MinIO(f"http://127.0.0.1:{port}", process, user, password)
