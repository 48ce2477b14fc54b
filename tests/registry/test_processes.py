"""Several processes at work on one store."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from revstore_async import Digest, Registry, verify_document
from tests.parts.documents import schema1

PAYLOAD = schema1(Digest.of(b"layer"), indent=None)

HOST = """
import asyncio, sys
from revstore_async import Registry, Policy, SigningKey, serialise, sign, ABSENT
from revstore_async.errors import TagChanged

async def main(url, payload, count):
    kids, won = [], 0
    async with Registry.open(url, policy=Policy(check_layers=False)) as registry:
        repository = registry.repository("library/hello")
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(count):
            key = SigningKey.generate()
            stored = await repository.manifests.put(serialise(payload, [sign(payload, key)]), tag="latest")
            kids.append(key.kid)
            try:
                await repository.tags.set(f"once-{number}", stored.digest, expected=ABSENT)
                won += 1
            except TagChanged:
                pass
    print(won, *kids)

asyncio.run(main(sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])))
"""


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("s3_url") if request.param == "s3" else (tmp_path / "store").as_uri()


def test_hosts_in_several_processes_lose_no_signature_and_share_each_tag_once(url: str) -> None:
    hosts, each = 4, 12
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, url, PAYLOAD.decode(), str(each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(hosts)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    kids: set[str] = set()
    won = 0
    for process in processes:  # all are ready: they start together
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        count, *signed = output.split()
        won += int(count)
        kids.update(signed)

    async def look() -> None:
        async with Registry.open(url) as registry:
            repository = registry.repository("library/hello")
            manifest = await repository.manifests.get("latest")
            assert {signature.kid for signature in manifest.signatures} == kids
            assert json.loads(verify_document(manifest.content).payload) == json.loads(PAYLOAD)
            assert [event.digest for event in await repository.tags.history("latest")] == [Digest.of(PAYLOAD)]

    assert len(kids) == hosts * each
    assert won == each
    asyncio.run(look())
