"""The benchmark of garbage collection: its store, the figures of a process, and its checks."""

import asyncio
import os
import sys
from collections import Counter
from datetime import timedelta

import pytest

from bench import stores
from bench.__main__ import measure
from bench.bars import table as bars_table
from bench.content import write
from bench.garbage import HalfGarbage
from bench.http import Answer, Refused
from bench.launched import Taken, launch
from bench.options import parse
from bench.progress import Progress
from bench.pushing import Pushes
from bench.results import Measurement, Results
from bench.scenarios import SCENARIOS, gc_online
from bench.scenarios import gc as gc_scenario
from bench.servers.registries import OURS
from bench.stores import registry_of
from revstore_async import CURRENT
from revstore_async.formats.names import RepositoryName
from revstore_async.layout import BlobData, LayerLink, RevisionLink
from tests.parts.programs import built as program_of_tests

FAST = Taken(1.0, 1.0, 1.0, "")


async def results_of(*arguments, scenario="gc"):
    results = Results({})
    await measure(parse([scenario, *arguments], list(SCENARIOS)), results, Progress())
    return results


@pytest.mark.parametrize("blobs", [10, 530])
def test_half_of_the_blobs_are_garbage(blobs):
    content = HalfGarbage(blobs, 1)
    objects = list(content.objects())
    assert len({stored.key for stored in objects}) == len(objects)
    kinds = Counter((type(CURRENT.parse(stored.key)), stored.stays) for stored in objects)
    assert kinds[BlobData, True] == kinds[BlobData, False] == content.garbage == blobs // 2
    assert kinds[RevisionLink, True] == content.manifests == len(list(content.revisions())) == blobs // 5
    assert kinds[LayerLink, True] == kinds[LayerLink, False] == blobs * 3 // 10


def test_the_same_seed_makes_the_same_store():
    assert list(HalfGarbage(20, 1).objects()) == list(HalfGarbage(20, 1).objects())
    assert list(HalfGarbage(20, 1).objects()) != list(HalfGarbage(20, 2).objects())


def test_a_number_of_blobs_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="multiple of 10, which 15 is not"):
        HalfGarbage(15, 1)


async def test_a_plan_finds_the_garbage_of_the_store(tmp_path):
    async with stores.opened(tmp_path.as_uri(), tmp_path) as store:
        content = HalfGarbage(50, 1)
        await write(store, content.items())
        async with registry_of(store) as registry:
            plan = await registry.collector.plan(offline=True)
            try:
                going = {each.key for each in plan.going()}
            finally:
                plan.close()
    assert going == {stored.key for stored in content.objects() if not stored.stays}


async def test_a_command_tells_its_time_cpu_memory_and_output(tmp_path):
    program = "import time; held = b'x' * (64 << 20); time.sleep(0.2); print(len(held))"
    taken = await launch([sys.executable, "-c", program], dict(os.environ), tmp_path, limit=60)
    assert taken.output == f"{64 << 20}\n"
    assert taken.seconds >= 0.2
    assert 64 < taken.peak_mib < 128
    assert 0 < taken.cpu < 60


async def test_memory_that_the_benchmark_itself_holds_is_not_the_command_s(tmp_path):
    held = b"x" * (256 << 20)
    taken = await launch([sys.executable, "-c", ""], dict(os.environ), tmp_path, limit=60)
    assert taken.peak_mib < len(held) >> 20


async def test_a_command_that_fails_shows_its_output(tmp_path):
    with pytest.raises(ChildProcessError, match=r"ended with 3: so it is\s+and so"):
        program = "import sys; print('so it is'); print('and so', file=sys.stderr); sys.exit(3)"
        await launch([sys.executable, "-c", program], dict(os.environ), tmp_path, limit=60)


async def test_a_command_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(ChildProcessError, match=r"took more than 0\.5 seconds"):
        program = "import time; time.sleep(60)"
        await launch([sys.executable, "-c", program], dict(os.environ), tmp_path, limit=0.5)


async def test_a_collection_on_files_is_measured(tmp_path):
    results = await results_of(
        "--store", tmp_path.as_uri(), "--parties", "ours", "--blobs", "20", "--runs", "1"
    )
    assert not [each.failed for each in results.measurements if each.failed]
    assert {each.measure for each in results.measurements} == {"time", "process memory", "process cpu"}
    assert all(each.samples[0] > 0 for each in results.measurements)
    assert list(tmp_path.rglob("docker")) == []


async def test_both_collections_free_the_same_on_s3_and_their_requests_are_counted(minio, monkeypatch):
    program_of_tests("registry", "REVSTORE_TEST_REGISTRY", on_path=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.password)
    bucket = minio.new_bucket()
    results = await results_of(
        "--store", f"s3://{bucket}/a?endpoint_url={minio.url}", "--blobs", "20", "--runs", "1"
    )
    assert not [each.failed for each in results.measurements if each.failed]
    assert {each.way for each in results.measurements} == {"ours", "distribution"}
    counted = {each.case["request"]: each.samples[0] for each in results.find("gc", "requests", OURS)}
    assert (
        counted["LIST"] == 5
    )  # the folders of the store; content, links, this engine's own objects, and packs
    assert minio.names(bucket) == []


@pytest.mark.parametrize(
    ("half", "why"),
    [(True, "3 keys are lost, 0 are left over"), (False, "0 keys are lost, 16 are left over")],
)
async def test_a_collection_that_leaves_another_store_than_it_must_counts_as_failed(
    half, why, tmp_path, monkeypatch
):
    async def collect(store, _endpoint, _folder):
        content = HalfGarbage(20, 1)
        lost = [stored.key for stored in content.objects() if stored.stays][:3]
        async with registry_of(store) as registry:
            for stored in content.objects() if half else ():
                if not stored.stays or stored.key in lost:
                    await registry.driver.delete(stored.key)
        return FAST

    monkeypatch.setattr(gc_scenario, "_COLLECTORS", {OURS: collect})
    results = await results_of(
        "--store", tmp_path.as_uri(), "--parties", "ours", "--blobs", "20", "--runs", "1"
    )
    (failed,) = [each.failed for each in results.measurements if each.failed]
    assert why in failed


async def test_a_collection_beside_pushes_is_measured(minio, monkeypatch):
    bounds = {"keep": 0.5, "link_within": 3, "metadata": 2, "lease": 1, "hold": 1}
    monkeypatch.setattr(
        gc_online, "BOUNDS", {name: timedelta(seconds=seconds) for name, seconds in bounds.items()}
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.password)
    bucket = minio.new_bucket()
    store = f"s3://{bucket}/a?endpoint_url={minio.url}"
    results = await results_of("--store", store, "--blobs", "50", scenario="gc-online")
    assert not [each.failed for each in results.measurements if each.failed]
    found = {each.measure: each for each in results.measurements}
    assert found["waits"].samples[0] >= 3
    assert found["work"].facts["keys"] > 0
    assert found["pushes"].samples[0] > 0
    assert found["all requests"].samples[0] <= found["all requests"].facts["allowed"]
    assert found["failed pushes"].samples == (0,)


@pytest.mark.parametrize(
    ("stays", "why"), [(True, "1 keys are lost, 0 are left"), (False, "0 keys are lost, 1 are left")]
)
async def test_a_collection_beside_pushes_that_leaves_another_store_counts_as_failed(stays, why, tmp_path):
    async with stores.opened(tmp_path.as_uri(), tmp_path) as store:
        content = HalfGarbage(20, 1)
        left = [stored for stored in content.objects() if stored.stays]
        if stays:
            left.pop(0)
        else:
            left.append(next(stored for stored in content.objects() if not stored.stays))
        await write(store, ((stored.key, stored.content) for stored in left))
        with pytest.raises(AssertionError, match=why):
            await gc_online.check(store, content, Pushes(iter(()), 1))


class Busy:
    """A client of a server that tells it to come again some times."""

    def __init__(self, times, status=503, after="0"):
        self.left = times
        self.status = status
        self.after = after
        self.put = []
        self.fresh = False
        self.fresh_asks = 0

    def close(self):
        self.fresh = True

    async def ask(self, method, target, **_told):
        self.fresh_asks += self.fresh
        self.fresh = False
        if method == "PUT" and "/manifests/" in target and self.left:
            self.left -= 1
            raise Refused(method, target, Answer(self.status, headers={"retry-after": self.after}))
        self.put += [target] if method == "PUT" else []
        return Answer(200)


@pytest.mark.parametrize(
    ("client", "pushed", "again"),
    [
        (Busy(3), 1, 3),
        (Busy(99), 0, 9),
        (Busy(1, status=400), 0, 0),
        (Busy(1, after=""), 0, 0),
    ],
    ids=["comes again", "gives up", "is refused", "is not told when"],
)
async def test_a_push_goes_on_only_when_the_server_tells_the_client_to_come_again(client, pushed, again):
    pushes = Pushes(iter([(RepositoryName("bench/a"), b"layer")]), 1, pause=0)
    await pushes.go_on(client, "0", asyncio.Event())
    assert (len(pushes.pushed), len(pushes.failures), pushes.again) == (pushed, 1 - pushed, again)
    assert client.put == ["/v2/bench/a/manifests/pushed-0-0"] * pushed
    assert client.fresh_asks == 4 + again  # three blobs and the manifest: no connection was idle before


def gc_measurement(way, measure, value, **case):
    return Measurement("gc", {"store": "minio", **case}, way, measure, "", (value,))


def judged(found, says):
    return next(line for line in bars_table(found).splitlines() if says in line)


def test_the_bars_judge_the_slowest_store_and_the_highest_memory():
    found = Results(
        {},
        [
            gc_measurement("ours", "time", 1.0, blobs=10),
            gc_measurement("distribution", "time", 9.0, blobs=10),
            gc_measurement("ours", "time", 10.0, blobs=100),
            gc_measurement("distribution", "time", 49.0, blobs=100),
            gc_measurement("ours", "time", 1.0, blobs=1000),
            gc_measurement("ours", "process memory", 100.0, blobs=10),
            gc_measurement("ours", "process memory", 257.0, blobs=100),
        ],
    )
    assert "| 4.9 | **not met** |" in judged(found, "collection on MinIO")
    assert "not measured" in judged(found, "collection on files")
    assert "| 257 | **not met** |" in judged(found, "collection, peak memory")


def test_the_bars_judge_a_collection_beside_pushes():
    def beside(measure, value, **facts):
        return Measurement("gc-online", {"store": "minio"}, "ours", measure, "", (value,), facts)

    found = Results(
        {},
        [
            beside("all requests", 99.0, allowed=100.0),
            beside("all requests", 110.0, allowed=100.0),
            beside("failed pushes", 0.0),
            beside("process memory", 300.0),
        ],
    )
    assert "| 1.1 | **not met** |" in judged(found, "beside pushes: requests")
    assert "| 0 | met |" in judged(found, "beside pushes: failed pushes")
    assert "| 300 | **not met** |" in judged(found, "collection, peak memory")
