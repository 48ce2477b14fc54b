"""Docker Distribution 3 on a store that the engine shares, and skopeo, a client of it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .docker_registry import DockerRegistry, serving
from .minio import MinIO
from .programs import built, program

_UNSHARED = {
    "delete": {"enabled": True},
    "redirect": {"disable": True},  # it hands out the bytes itself
    # It would purge uploads that it takes for abandoned, at a time of its own.
    "maintenance": {"uploadpurging": {"enabled": False}},
}


def on_s3(minio: MinIO, bucket: str, prefix: str) -> Mapping[str, object]:
    """Return Distribution's variables for the engine's `s3://bucket/prefix`."""
    return {
        "s3": {
            "region": "us-east-1",
            "regionendpoint": minio.url,
            "forcepathstyle": True,
            "secure": False,
            "accesskey": minio.user,
            "secretkey": minio.password,
            "bucket": bucket,
            "rootdirectory": f"/{prefix}",
        }
    }


def on_files(folder: Path) -> Mapping[str, object]:
    """Return Distribution's variables for the engine's `file:folder`."""
    return {"filesystem": {"rootdirectory": str(folder)}}


@contextmanager
def running(folder: Path, storage: Mapping[str, object]) -> Iterator[DockerRegistry]:
    """Run Distribution 3 on a store, for as long as the block lasts; its log stays in the folder.

    Args:
        folder: An empty one, for its configuration and log.
        storage: What `on_s3` or `on_files` returned.
    """
    binary = built("registry", "REVSTORE_TEST_REGISTRY", on_path=False)
    with serving(binary, {"storage": {**storage, **_UNSHARED}}, folder) as registry:
        yield registry


def skopeo(*arguments: str, home: Path) -> str:
    """Run skopeo and return its output; it blocks.

    Args:
        *arguments: Its command, options and operands.
        home: A folder for what it keeps.
    """
    ran = subprocess.run(
        [program("skopeo"), "--insecure-policy", *arguments],
        env={"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def image_in(registry: DockerRegistry, name: str) -> str:
    """Return skopeo's name of an image in a registry."""
    return f"docker://{registry.host}/{name}"
