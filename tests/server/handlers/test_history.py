"""The history of a tag, as distribution-spec's proposal 606 has it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.formats.descriptors import OCI_INDEX, OCI_MANIFEST
from revstore_async.server import RegistryApp
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.conftest import Tick
from tests.parts.documents import NAME, image, schema1, signed
from tests.parts.histories import TAG, change, revision
from tests.parts.manifests_over_http import all_pages, at, codes, image_in, pushed
from tests.parts.serving import client_of

HISTORY = at("_oci/tag-history/v1")
TIMESTAMP = "org.opencontainers.distribution.tag.timestamp"
EVENT = "org.opencontainers.distribution.tag.event"
ONE, TWO = image(b"1"), image(b"2")


def events(entries: list[dict[str, dict[str, str]]]) -> list[tuple[object, str]]:
    return [(entry["digest"], entry["annotations"][EVENT]) for entry in entries]


async def test_a_page_reads_no_more_than_it_may(lenient: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("revstore_async.server.handlers.history.READ_BYTES", 2 * len(ONE))
    documents = [image(str(number).encode()) for number in range(200)]
    for document in documents:
        await pushed(lenient, "v1", document)
    pages = await all_pages(lenient, HISTORY, "manifests")
    assert len(pages) > 1
    found = [entry for page in pages for entry in page]
    assert [digest for digest, _ in events(found)] == [Digest.of(each) for each in reversed(documents)]
    assert [entry["size"] for entry in found] == [len(each) for each in reversed(documents)]


async def listed(client: httpx.AsyncClient, **query: str) -> list[tuple[object, str]]:
    answer = await client.get(HISTORY, params=query)
    assert answer.status_code == 200
    return events(answer.json()["manifests"])


async def test_the_history_tells_what_a_tag_was_the_newest_first(
    client: httpx.AsyncClient, repository: Repository, tick: Tick
):
    first = await image_in(repository)
    second = await image_in(repository, annotations={"second": "yes"})
    a = await pushed(client, "v1", first)
    await tick()
    b = await pushed(client, "v1", second)
    await tick()
    await pushed(client, "v1", first)
    await tick()
    await client.delete(at("manifests/v1"))
    answer = await client.get(HISTORY)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == OCI_INDEX
    index = answer.json()
    assert index["schemaVersion"] == 2
    assert index["mediaType"] == OCI_INDEX
    assert events(index["manifests"]) == [(a, "deleted"), (a, "created"), (b, "created"), (a, "created")]
    assert [entry["mediaType"] for entry in index["manifests"]] == [OCI_MANIFEST] * 4
    assert [entry["size"] for entry in index["manifests"]] == [
        len(first),
        len(first),
        len(second),
        len(first),
    ]
    times = [entry["annotations"][TIMESTAMP] for entry in index["manifests"]]
    assert all(time.endswith("Z") for time in times)
    assert sorted(times, key=datetime.fromisoformat, reverse=True) == times


async def test_a_tag_without_a_history_has_an_empty_one(client: httpx.AsyncClient, repository: Repository):
    assert await listed(client) == []
    await pushed(client, "other", await image_in(repository))
    assert await listed(client) == []
    assert await listed(client, n="0") == []


async def test_the_history_is_listed_by_pages_even_within_one_second(
    client: httpx.AsyncClient, repository: Repository
):
    documents = [await image_in(repository, annotations={"by": str(number)}) for number in range(2)]
    for number in range(5):
        await pushed(client, "v1", documents[number % 2])
    whole = await listed(client)
    pages = await all_pages(client, HISTORY + "?n=2", "manifests")
    assert events([entry for page in pages for entry in page]) == whole
    assert [len(page) for page in pages[:-1]] == [2] * (len(pages) - 1)


async def test_a_history_is_filtered_by_time_and_digest(lenient: httpx.AsyncClient):
    a, b = Digest.of(ONE), Digest.of(TWO)
    for document in (ONE, TWO, ONE):
        await pushed(lenient, "v1", document)
    newest, middle, oldest = (
        entry["annotations"][TIMESTAMP] for entry in (await lenient.get(HISTORY)).json()["manifests"]
    )
    assert await listed(lenient, before=newest) == [(b, "created"), (a, "created")]
    assert await listed(lenient, since=oldest) == [(a, "created"), (b, "created")]
    assert await listed(lenient, since=oldest, before=newest) == [(b, "created")]
    assert await listed(lenient, since=middle, before=middle) == []
    elsewhere = datetime.fromisoformat(newest).astimezone().isoformat()
    assert await listed(lenient, before=elsewhere) == [(b, "created"), (a, "created")]
    much_later = (datetime.fromisoformat(newest) + timedelta(days=1)).isoformat()
    assert len(await listed(lenient, before=much_later)) == 3
    assert await listed(lenient, digest=a) == [(a, "created"), (a, "created")]
    assert await listed(lenient, digest=Digest.of(b"another")) == []
    pages = await all_pages(lenient, f"{HISTORY}?n=1&digest={a}", "manifests")
    assert [events(page) for page in pages] == [[(a, "created")], [(a, "created")]]


async def test_n_of_0_tells_that_there_is_such_an_endpoint(lenient: httpx.AsyncClient):
    await pushed(lenient, "v1", ONE)
    answer = await lenient.get(HISTORY + "?n=0")
    assert answer.json()["manifests"] == []
    assert "link" not in answer.headers


async def test_a_deleted_manifest_stays_in_the_history(lenient: httpx.AsyncClient):
    digest = await pushed(lenient, "v1", ONE)
    await lenient.delete(at(f"manifests/{digest}"))
    entries = (await lenient.get(HISTORY)).json()["manifests"]
    assert events(entries) == [(digest, "deleted"), (digest, "created")]
    assert {entry["size"] for entry in entries} == {len(ONE)}


async def test_a_signed_manifest_is_told_by_its_payload(lenient: httpx.AsyncClient):
    payload = schema1(Digest.of(b""), tag="v1")
    await pushed(lenient, "v1", signed(payload, 1))
    (entry,) = (await lenient.get(HISTORY)).json()["manifests"]
    assert entry["digest"] == Digest.of(payload)
    assert entry["size"] == len(payload)


@pytest.mark.parametrize(
    "query",
    [
        "before=yesterday",
        "before=2026-01-01",
        "before=2026-01-01T00:00:00",
        "before=2026-13-01T00:00:00Z",
        "since=2026-W01-1T00:00:00Z",
        "since=20260101T000000Z",
        "since=2026-01-01T00:00:60Z",
        "since=2026-01-01T00:00:00%2B99:00",
        "digest=abc",
        "n=-1",
        "n=1&n=1",
        "last=x",
        "last=1",
        "last=1.0&last=2.0",
    ],
)
async def test_a_filter_that_can_t_be_is_refused(lenient: httpx.AsyncClient, query: str):
    answer = await lenient.get(f"{HISTORY}?{query}")
    assert answer.status_code == 400
    assert codes(answer)[0] in {"UNSUPPORTED", "DIGEST_INVALID"}


async def test_a_name_that_can_be_no_tag_is_refused(lenient: httpx.AsyncClient):
    assert codes(await lenient.get(at("_oci/tag-history/-v1"))) == ["TAG_INVALID"]
    assert codes(await lenient.get(at("_oci/tag-history/v1", NAME.upper()))) == ["NAME_INVALID"]


# ---- long ones


async def long_history(changes: int) -> tuple[TracingDriver, datetime]:
    """Return a store in which a tag changed every 2 seconds, and the time of the last change."""
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = TracingDriver(MemoryDriver(clock=lambda: clock[0]))
    async with store:
        await change(store, clock, changes)
    store.reset()
    return store, clock[0]


def listings(store: TracingDriver) -> int:
    return store.counts["list_all"]


async def test_a_page_of_a_long_history_reads_a_part_of_it() -> None:
    store, _ = await long_history(2000)
    async with Registry(store) as registry, client_of(RegistryApp(registry)) as client:
        whole = [*reversed(await registry.repository(NAME).tags.history(TAG))]
        url = at("_oci/tag-history/latest") + "?n=7"
        found: list[tuple[object, str]] = []
        for _ in range(5):
            store.reset()
            answer = await client.get(url)
            found += events(answer.json()["manifests"])
            assert listings(store) == 1
            url = answer.links["next"]["url"]
        assert "last=" in url
        expected = [
            (event.digest, "created") if event.digest else (earlier.digest, "deleted")
            for event, earlier in pairwise(whole)
        ]
        assert found == expected[:35]


async def test_a_filtered_page_looks_at_so_many_entries_and_leads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revstore_async.server.handlers.history.SCANNED", 500)
    store, end = await long_history(2000)
    async with Registry(store) as registry, client_of(RegistryApp(registry)) as client:
        history = at("_oci/tag-history/latest")
        answer = await client.get(history, params={"digest": revision(3)})
        assert answer.json()["manifests"] == []
        assert listings(store) < 5
        pages = await all_pages(client, f"{history}?digest={revision(3)}", "manifests")
        assert [events(page) for page in pages if page] == [[(revision(3), "created")]]
        store.reset()
        since = (end - timedelta(seconds=20)).isoformat().replace("+00:00", "Z")
        recent = await client.get(history, params={"since": since, "n": "100"})
        assert 5 < len(recent.json()["manifests"]) < 15
        assert "link" not in recent.headers
        assert listings(store) == 1
        before = (end - timedelta(seconds=3000)).isoformat().replace("+00:00", "Z")
        store.reset()
        old = (await client.get(history, params={"before": before, "n": "3"})).json()["manifests"]
        times = [datetime.fromisoformat(entry["annotations"][TIMESTAMP]) for entry in old]
        assert [end - timedelta(seconds=3000) - time < timedelta(seconds=10) for time in times] == [True] * 3
        assert listings(store) < 30
