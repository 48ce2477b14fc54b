"""Real programs: what skopeo pushes we read, and what we sign docker-registry takes."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from revstore_async.formats.digest import Digest
from revstore_async.signatures import SigningKey, parse, serialise, sign, verify_document
from tests.parts.docker_registry import SIGNED_MANIFEST, DockerRegistry
from tests.parts.programs import program
from tests.parts.vectors import VECTORS, chained_key, key, signers

SKOPEO = VECTORS / "skopeo"
LAYER = gzip.compress(b"not much of a layer", mtime=0)


def check_captured(folder: Path) -> None:
    """Read both documents that were captured, and write them again."""
    payloads = set()
    for name in ("pushed.json", "served.json"):
        document = (folder / name).read_bytes()
        signed = verify_document(document)
        assert serialise(signed.payload, signed.signatures) == document
        assert json.loads(signed.payload)["name"] == "library/hello"
        payloads.add(signed.payload)
    assert len(payloads) == 1


def test_documents_captured_from_skopeo_verify_and_come_back() -> None:
    check_captured(SKOPEO)


def test_documents_that_skopeo_pushes_now_do_too(tmp_path: Path) -> None:
    program("skopeo")
    program("docker-registry")
    made = subprocess.run(
        [sys.executable, SKOPEO / "make.py", tmp_path],
        check=False,
        cwd=VECTORS.parents[1],
        env={**os.environ, "PYTHONPATH": str(VECTORS.parents[1])},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    check_captured(tmp_path)


def manifest(name: str, tag: str, indent: int | str | None) -> bytes:
    """A schema 1 manifest of one layer."""
    image = json.dumps({"id": "a" * 64, "created": "2024-02-03T04:05:06Z", "note": "<&> é"})
    content = {
        "schemaVersion": 1,
        "name": name,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": Digest.of(LAYER)}],
        "history": [{"v1Compatibility": image}],
    }
    return json.dumps(content, indent=indent).encode()


@pytest.mark.parametrize("indent", [None, 3, "\t"], ids=["compact", "indented", "tab"])
@pytest.mark.parametrize(
    "keys",
    [
        (key("ec256"),),
        (key("rsa2048"),),
        (key("ec384"), key("ec521")),
        (chained_key("ec256"), *signers()[:4]),
    ],
    ids=["ec256", "rsa2048", "ec384 and ec521", "x5c and four more"],
)
async def test_docker_registry_takes_what_we_sign(
    registry: DockerRegistry, keys: tuple[SigningKey, ...], indent: int | str | None
) -> None:
    name = f"ours/{len(keys)}-{keys[0].kid[:4].lower()}"
    payload = manifest(name, "latest", indent)
    document = serialise(payload, [sign(payload, each) for each in keys])
    path = f"/v2/{name}/manifests/latest"

    await asyncio.to_thread(registry.push_blob, name, LAYER, Digest.of(LAYER))
    put = await asyncio.to_thread(registry.ask, "PUT", path, document, {"Content-Type": SIGNED_MANIFEST})
    assert put.status == 201, put.body
    assert put.headers["docker-content-digest"] == Digest.of(payload)

    # It keeps the payload only, and signs what it serves with a key of its own.
    got = await asyncio.to_thread(registry.ask, "GET", path, b"", {"Accept": SIGNED_MANIFEST})
    assert got.status == 200
    served = verify_document(got.body)
    assert served.payload == payload
    assert serialise(served.payload, served.signatures) == got.body
    ours = parse(document).signatures
    assert verify_document(serialise(payload, (*ours, *served.signatures))).payload == payload


async def test_docker_registry_refuses_what_does_not_verify(registry: DockerRegistry) -> None:
    payload = manifest("ours/bad", "latest", 3)
    document = serialise(payload, [sign(payload, key("ec256"))]).replace(b"amd64", b"arm64")
    await asyncio.to_thread(registry.push_blob, "ours/bad", LAYER, Digest.of(LAYER))
    put = await asyncio.to_thread(
        registry.ask, "PUT", "/v2/ours/bad/manifests/latest", document, {"Content-Type": SIGNED_MANIFEST}
    )
    assert put.status == 400
    assert b"MANIFEST_UNVERIFIED" in put.body
