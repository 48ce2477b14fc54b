"""Programs are type-checked against the installed wheel, by mypy and by pyright, in their strict modes."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = '''
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from revstore_async import (
    ABSENT,
    BlobInfo,
    BlobReader,
    Descriptor,
    Digest,
    Manifest,
    ManifestDocument,
    Policy,
    Registry,
    Repository,
    SigningKey,
    StoredManifest,
    TagInfo,
    TrustedKeys,
    __version__,
    errors,
    read_manifest,
    serialise,
    sign,
    tags_matching,
)
from revstore_drivers.memory import MemoryDriver


async def pieces() -> AsyncIterator[bytes]:
    yield b"layer"


class Trusting:
    """A policy of the program's own."""

    def trusted(self, signature: object) -> bool:
        return signature is not None


async def store(repository: Repository, digest: str, path: Path) -> Descriptor:
    await repository.blobs.put(b"layer", digest=digest)
    await repository.blobs.put(pieces(), digest=Digest(digest))
    with path.open("rb") as file:
        await repository.blobs.put(file, digest=digest)
    upload = await repository.uploads.start()
    upload = await repository.uploads.append(upload.id, path, offset=upload.offset)
    return await repository.uploads.finish(upload.id, digest, memoryview(b"end"))


async def look(registry: Registry, repository: Repository, digest: str) -> list[TagInfo | BlobInfo]:
    reader: BlobReader
    async with repository.blobs.open(digest, offset=1) as reader:
        first: bytes = await reader.read(10)
        rest = [piece async for piece in reader]
    rest.append(first)
    found: list[TagInfo | BlobInfo] = [info async for info in repository.tags]
    found += [blob async for blob in registry.blobs.enumerate()]
    return found


async def main(document: bytes) -> None:
    key = SigningKey.from_jwk({"kty": "EC"}) if document else SigningKey.generate("P-256")
    signed = serialise(document, [sign(document, key, time=datetime.now(UTC))])
    policy = Policy(trust=TrustedKeys([key.public]), immutable=tags_matching("v*"))
    async with Registry.open(Path("folder"), policy=policy) as registry:
        repository = registry.repository("library/hello")
        stored: StoredManifest = await repository.manifests.put(signed, tag="latest", expected=ABSENT)
        manifest: Manifest = await repository.manifests.get(stored.digest)
        read: ManifestDocument = read_manifest(manifest.content, manifest.media_type)
        sizes: list[int] = [each.size for each in (*read.blobs, *read.manifests)]
        print(__version__, sizes, await look(registry, repository, stored.digest))
        try:
            await repository.tags.set("v1", stored.digest, expected=str(stored.digest))
        except errors.TagChanged as error:
            print(error.actual, error.retryable)
    async with Registry(MemoryDriver(), policy=Policy(trust=Trusting())) as registry:
        await store(registry.repository("other"), str(stored.digest), Path("layer.tar"))
'''


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel, and what the wheel needs."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The folder of a program that uses the package."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    return tmp_path


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Run a command; return what it prints. Programs in `path` come first."""
    first = "" if path is None else f"{path}{os.pathsep}"
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": first + os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def pyright() -> Path:
    """The command; without node, on which it runs, the test is skipped. With CI=true it fails instead."""
    if shutil.which("node") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is not installed")
        pytest.skip("node is not installed")
    return Path(sys.executable).with_name("pyright")


@pytest.mark.timeout(240)
def test_a_program_is_clean_under_mypy_strict(python: Path, program: Path):
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", program / "cache")
    assert "Success" in run(*mypy, "--python-executable", python, "program.py", cwd=program)


@pytest.mark.timeout(240)
def test_a_program_is_clean_under_pyright_strict(python: Path, program: Path, pyright: Path):
    assert "0 errors, 0 warnings" in run(pyright, "--pythonpath", python, cwd=program)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("package", ["revstore_async", "revstore_drivers"])
def test_each_symbol_has_a_type_that_all_checkers_see(
    python: Path, tmp_path: Path, pyright: Path, package: str
):
    told = run(pyright, "--verifytypes", package, "--ignoreexternal", cwd=tmp_path, path=python.parent)
    assert "Type completeness score: 100%" in told, told
