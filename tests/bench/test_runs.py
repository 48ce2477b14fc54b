"""The benchmark runs: on memory and files, and its load against a server that does nothing."""

import asyncio
import sys
from functools import partial

import pytest

from bench import stores
from bench.__main__ import measure
from bench.content import Images, fill
from bench.load import Load, ready
from bench.load.running import Run
from bench.operations import OPERATIONS, Operations
from bench.options import parse
from bench.processes import ProgramMissing, answers, built, free_port, running, without_aws
from bench.progress import Progress
from bench.requests import REQUESTS
from bench.requests import measure as measure_requests
from bench.results import Results
from bench.scenarios import SCENARIOS
from bench.scenarios import requests as requests_scenario
from bench.servers.registries import DISTRIBUTION, OURS, PARTIES, serving
from revstore_async import Registry
from revstore_async.formats.manifests import read_manifest
from tests.parts.programs import built as program_of_tests

NOTHING = Images("bench/none", 1, (), "sha256:" + "0" * 64, (), 1)


async def results_of(*arguments):
    results = Results({})
    await measure(parse(arguments, list(SCENARIOS)), results, Progress())
    return results


async def test_revisions_are_measured_in_memory_by_slept_latency():
    results = await results_of(
        "revisions", "--store", "memory:", "--latency", "0,2", "--signatures", "0,3", "--turns", "2"
    )
    assert not [each.failed for each in results.measurements if each.failed]
    ways = {(each.case["latency"], each.case["signatures"], each.way) for each in results.measurements}
    assert len(ways) == 2 * 2 * 3
    assert all(len(each.samples) == 2 for each in results.measurements)


async def test_what_a_store_cannot_do_is_told_and_does_not_end_the_run():
    results = await results_of(
        "operations", "revisions", "--store", "memory:", "--latency", "0", "--turns", "1"
    )
    failed = [each for each in results.measurements if each.failed]
    assert [each.scenario for each in failed] == ["operations"]
    assert "memory" in failed[0].failed
    assert any(each.scenario == "revisions" for each in results.measurements)


@pytest.fixture
def trivial(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "bench.servers.trivial", str(port), "100"]
    with running(command, without_aws(), tmp_path / "log", partial(answers, port, "/")) as process:
        yield port, process


async def test_a_closed_loop_makes_as_many_requests_as_it_is_told(trivial):
    load = Load(port=trivial[0], images=NOTHING, mix={"HEAD layer": 0, "tag list": 1}, clients=3, requests=50)
    async with ready(load) as go:
        outcome = await go()
    assert (outcome.requests, outcome.failures) == (50, 0)
    assert outcome.percentiles["50"] <= outcome.percentiles["99"] <= outcome.percentiles["100"]


async def test_a_stall_shows_in_the_latency_of_all_that_an_open_loop_had_scheduled_meanwhile(monkeypatch):
    stall, rate, count = 0.3, 100, 20

    async def stalls_once(_operations, _client, number):
        if number == 0:
            await asyncio.sleep(stall)

    monkeypatch.setitem(OPERATIONS, "tag list", stalls_once)
    load = Load(port=1, images=NOTHING, mix={"tag list": 1}, clients=1, requests=count, rate=rate)
    opened, closed = await Run(load).opened(), await Run(load).closed()
    assert opened.requests == closed.requests == count
    # The one place is taken until the stall ends, when the last request was due long ago.
    assert opened.percentiles["50"] >= (stall - count / rate) * 1000
    assert closed.percentiles["50"] < opened.percentiles["50"]


async def test_a_load_whose_operations_fail_tells_the_first_failure(trivial):
    load = Load(port=trivial[0], images=NOTHING, mix={"mount": 1}, clients=1, requests=2, warm_up=0)
    async with ready(load) as go:
        outcome = await go()
    assert (outcome.requests, outcome.failures) == (0, 2)
    assert outcome.failure.startswith("mount: POST /v2/")


async def test_a_load_that_fails_while_it_warms_up_is_refused(trivial):
    load = Load(port=trivial[0], images=NOTHING, mix={"mount": 1}, clients=1, requests=2, warm_up=1)
    with pytest.raises(ChildProcessError, match="while warming up"):
        async with ready(load):
            pass


def test_a_process_tells_its_cpu_and_memory(trivial):
    process = trivial[1]
    assert process.peak_memory >= process.memory > 1 << 20
    process.forget_peak()
    assert process.peak_memory > 1 << 20
    assert process.cpu >= 0


def test_a_program_that_ends_at_once_tells_its_log(tmp_path):
    command = [sys.executable, "-c", "print('so it is', flush=True)"]
    with (
        pytest.raises(ChildProcessError, match="so it is"),
        running(command, without_aws(), tmp_path / "log", lambda: False),
    ):
        pass


def test_a_program_that_is_not_there_names_what_builds_it():
    with pytest.raises(ProgramMissing, match="make no-such-program"):
        built("no-such-program")


async def test_what_is_filled_in_is_what_the_engine_reads(tmp_path):
    async with stores.opened(tmp_path.as_uri(), tmp_path) as store:
        images = await fill(store, 5, 1)
        async with Registry.open(store.url()) as registry:
            repository = registry.repository(images.name)
            found = await repository.manifests.get("t3")
            assert found.digest == images.digests[3]
            blobs = read_manifest(found.content).blobs
            assert len(blobs) == 8  # a config and seven layers
            assert all([await repository.blobs.exists(blob.digest) for blob in blobs])
            assert [info.tag async for info in repository.tags] == [f"t{number}" for number in range(5)]


@pytest.mark.parametrize("party", PARTIES)
async def test_every_operation_is_done_by_each_party(party, tmp_path):
    if party.startswith(DISTRIBUTION):
        program_of_tests("registry", "REVSTORE_TEST_REGISTRY", on_path=False)
    async with stores.opened(tmp_path.as_uri(), tmp_path) as store:
        images = await fill(store, 5, 1)
        async with serving(store, None, tmp_path, [party]) as parties:
            operations = Operations(images, "x", spread=5)
            for operation in OPERATIONS.values():
                for number in range(2):
                    await operation(operations, parties[party].client, number)


@pytest.fixture
def bucket(minio, monkeypatch):
    """A bucket of a server that isn't the benchmark's own, in which a run must leave nothing."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.password)
    bucket = minio.new_bucket()
    yield f"s3://{bucket}/a?endpoint_url={minio.url}"
    assert minio.names(bucket) == []


async def test_operations_are_measured_and_counted_behind_the_link_of_an_s3_server(bucket):
    results = await results_of(
        "operations", "--store", bucket, "--latency", "1", "--turns", "1", "--parties", "ours"
    )
    assert not [each.failed for each in results.measurements if each.failed]
    counted = {each.case["operation"]: each.facts for each in results.measurements if each.way == OURS}
    assert counted.keys() == OPERATIONS.keys()
    assert counted["HEAD layer"]["requests"] == 2
    assert counted["HEAD layer"]["round_trips"] == 1
    assert counted["manifest by tag"]["round_trips"] == 2
    assert counted["manifest by tag, again"]["round_trips"] == 1
    assert any(each.way == "aioboto3" for each in results.measurements)


async def test_requests_are_measured_by_client(bucket, monkeypatch):
    monkeypatch.setattr(requests_scenario, "REQUESTS", ["HEAD"])
    results = await results_of(
        "requests", "--store", bucket, "--clients", "2", "--duration", "0.05", "--runs", "1"
    )
    assert not [each.failed for each in results.measurements if each.failed]
    taken = {(each.case["request"], each.way, each.measure) for each in results.measurements}
    assert taken >= {("HEAD", way, "cpu") for way in ("driver s3", "aioboto3")}
    assert all(each.samples[0] > 0 for each in results.measurements)


@pytest.mark.parametrize("request_", REQUESTS)
async def test_each_request_is_measured(request_, bucket, tmp_path):
    async with stores.opened(bucket, tmp_path) as store:
        assert isinstance(store, stores.S3Store)
        taken = await measure_requests("driver s3", request_, store, at_once=2, seconds=0.05)
    assert taken["rate"] > 0
