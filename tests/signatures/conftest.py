"""Fixtures: the fixed keys, and the programs that are compared with, started once for a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import docker_registry, libtrust
from tests.parts.docker_registry import DockerRegistry
from tests.parts.libtrust import Libtrust


@pytest.fixture(scope="session")
def libtrust_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built once."""
    return libtrust.build(tmp_path_factory.mktemp("libtrust"))


@pytest.fixture(scope="session")
def reference(libtrust_binary: Path) -> Iterator[Libtrust]:
    """libtrust itself, to be asked."""
    with libtrust.serving(libtrust_binary) as program:
        yield program


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Docker Distribution, running."""
    with docker_registry.running(tmp_path_factory.mktemp("docker-registry")) as running:
        yield running
