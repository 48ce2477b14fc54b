"""Content goes in as bytes, as a stream, as a path and as an open file, and by each door the same."""

import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from revstore_async import Digest, Registry, Repository, errors
from revstore_async.blobs.content import PIECE, Content

SMALL = b"a layer"
LARGE = bytes(range(256)) * ((3 * PIECE) // 256) + b"end"


async def streamed(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


def path_of(content: bytes, folder: Path) -> Path:
    path = folder / "content"
    path.write_bytes(content)
    return path


FORMS: dict[str, Callable[[bytes, Path], Content]] = {
    "bytes": lambda content, _: content,
    "bytearray": lambda content, _: bytearray(content),
    "memoryview": lambda content, _: memoryview(content),
    "stream": lambda content, _: streamed(content),
    "path": path_of,
    "file in memory": lambda content, _: io.BytesIO(content),
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
sizes = pytest.mark.parametrize("content", [SMALL, LARGE, b""], ids=["small", "large", "empty"])


@forms
@sizes
async def test_each_form_of_content_is_stored(
    registry: Registry,
    repository: Repository,
    form: Callable[[bytes, Path], Content],
    content: bytes,
    tmp_path: Path,
):
    digest = str(Digest.of(content))
    for blobs in (registry.blobs, repository.blobs):
        stored = await blobs.put(form(content, tmp_path), digest=digest, length=len(content))
        assert (stored.digest, stored.size) == (digest, len(content))
        assert isinstance(stored.digest, Digest)
        assert await blobs.get(digest) == content


@forms
async def test_each_form_of_content_goes_into_an_upload(
    repository: Repository, form: Callable[[bytes, Path], Content], tmp_path: Path
):
    uploads = repository.uploads
    upload = await uploads.start()
    upload = await uploads.append(upload.id, form(LARGE, tmp_path))
    assert upload.offset == len(LARGE)
    whole = LARGE + SMALL
    stored = await uploads.finish(upload.id, str(Digest.of(whole)), form(SMALL, tmp_path))
    assert await repository.blobs.get(stored.digest) == whole


async def test_a_path_needs_no_digest(registry: Registry, tmp_path: Path):
    stored = await registry.blobs.put(path_of(LARGE, tmp_path))
    assert stored.digest == Digest.of(LARGE)


async def test_an_open_file_is_read_from_where_it_stands_and_stays_open(registry: Registry, tmp_path: Path):
    with path_of(b"head" + LARGE, tmp_path).open("rb") as file:
        file.read(4)
        stored = await registry.blobs.put(file, digest=Digest.of(LARGE))
        assert stored.size == len(LARGE)
        assert not file.closed


async def test_a_blob_s_reader_is_content(registry: Registry, repository: Repository):
    digest = (await registry.blobs.put(LARGE)).digest
    async with registry.blobs.open(digest) as reader:
        assert (await repository.blobs.put(reader, digest=digest)).size == len(LARGE)


async def test_a_wrong_digest_of_a_file_stores_nothing_and_closes_it(registry: Registry, tmp_path: Path):
    wrong = Digest.of(b"another")
    with pytest.raises(errors.DigestMismatch):  # a file left open is a warning, which is an error here
        await registry.blobs.put(path_of(LARGE, tmp_path), digest=wrong)
    assert not await registry.blobs.exists(wrong)


@pytest.mark.parametrize("digest", [None, Digest.of(b"")])
async def test_a_missing_file_is_its_own_error(registry: Registry, tmp_path: Path, digest: Digest | None):
    with pytest.raises(FileNotFoundError):
        await registry.blobs.put(tmp_path / "missing", digest=digest)


@pytest.mark.parametrize(
    "other", [None, 5, "text", ["a"], {"a": 1}, iter([b"a"])], ids=lambda other: type(other).__name__
)
async def test_other_types_are_refused_by_name(repository: Repository, registry: Registry, other: Any):
    upload = await repository.uploads.start()
    for call in (
        lambda: registry.blobs.put(other),
        lambda: repository.blobs.put(other, digest=Digest.of(b"")),
        lambda: repository.uploads.append(upload.id, other),
        lambda: repository.uploads.finish(upload.id, Digest.of(b""), other),
    ):
        with pytest.raises(errors.WrongType, match=f"content must be bytes.*, not {type(other).__name__}"):
            await call()
    assert (await repository.uploads.status(upload.id)).offset == 0


async def test_a_stream_or_a_file_of_something_other_than_bytes_is_refused_by_name(registry: Registry):
    async def texts() -> AsyncIterator[Any]:
        yield "text"

    others: list[Any] = [texts(), io.StringIO("text")]
    for other in others:
        with pytest.raises(errors.WrongType, match=r"content must be bytes.*, not str"):
            await registry.blobs.put(other, digest=Digest.of(b"text"))
    assert not await registry.blobs.exists(Digest.of(b"text"))


async def test_an_open_file_needs_a_digest(registry: Registry):
    with pytest.raises(errors.InvalidArgument, match="digest"):
        await registry.blobs.put(io.BytesIO(SMALL))
