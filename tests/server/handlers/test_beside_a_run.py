"""Pushes over HTTP while a run of the collector deletes the pushed layer."""

from dataclasses import replace

import pytest

from revstore_async import Digest, Registry, RepositoryName
from revstore_async.blobs import gate
from revstore_async.layout import BlobData, LayerLink
from revstore_async.runs.state import VERSION, Phase, State
from revstore_async.server import RegistryApp
from tests.parts.runs_at_work import STATE, RunAtWork
from tests.parts.serving import client_of, error_code

NAME, LAYER = RepositoryName("library/hello"), b"a layer"
DIGEST = Digest.of(LAYER)
PATH = f"/v2/{NAME}/blobs"


async def test_a_client_uploads_what_goes_and_is_told_when_to_come_again(
    in_memory: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PATIENCE", 2.0)
    await in_memory.repository(NAME).blobs.put(LAYER)
    run = RunAtWork(in_memory.driver, [[LayerLink(NAME, DIGEST), BlobData(DIGEST)]])
    await run.enter(Phase.SWEEPING)
    fresh = Registry(in_memory.driver)  # a process that knows of no earlier state
    async with client_of(RegistryApp(fresh)) as client:
        assert (await client.head(f"{PATH}/{DIGEST}")).status_code == 404
        mounted = await client.post(f"/v2/another/blobs/uploads/?mount={DIGEST}&from={NAME}")
        assert mounted.status_code == 202
        location = (await client.post(f"{PATH}/uploads/")).headers["location"]
        refused = await client.put(f"{location}?digest={DIGEST}", content=LAYER)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert error_code(refused) == "UNAVAILABLE"
        assert "the storage is deleting that content, try again later" in refused.text
        assert (await client.get(f"{PATH}/{DIGEST}")).content == LAYER  # reads go on
        await run.enter(Phase.SWEEPING, done=1)
        assert (await client.put(f"{location}?digest={DIGEST}", content=LAYER)).status_code == 201
        assert (await client.head(f"{PATH}/{DIGEST}")).status_code == 200


@pytest.mark.parametrize("content", [b"?", replace(State(), writers=VERSION + 1).encode()])
async def test_a_state_that_no_writer_understands_is_the_operators_fault(
    in_memory: Registry, content: bytes
) -> None:
    await in_memory.repository(NAME).blobs.put(LAYER)
    await in_memory.driver.put(STATE, content)
    async with client_of(RegistryApp(Registry(in_memory.driver))) as client:
        location = (await client.post(f"{PATH}/uploads/")).headers["location"]
        refused = await client.put(f"{location}?digest={DIGEST}", content=LAYER)
        assert (refused.status_code, error_code(refused)) == (503, "UNAVAILABLE")
        assert "retry-after" in refused.headers
        assert "the storage takes no writes until its operator mends it; reads go on" in refused.text
        assert "gc/state" not in refused.text
        assert (await client.get(f"{PATH}/{DIGEST}")).content == LAYER
