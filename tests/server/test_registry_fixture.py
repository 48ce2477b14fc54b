"""The registry that users get for their own tests."""

import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest

from revstore_async import Digest, Policy, Registry, open_driver
from revstore_async.errors import InvalidStoreURL
from revstore_async.server import ReadOnly, RegistryApp
from revstore_async.server.events import ManifestPulled, ManifestPushed
from revstore_async.testing.registry import RunningRegistry, running, serving
from tests.parts.documents import NAME, image
from tests.parts.manifests_over_http import at

pytest_plugins = ["revstore_async.testing.registry"]

DOCUMENT = image(b"{}")
PROGRAM = re.findall(
    r"^```python\n(.*?)^```",
    (Path(__file__).parents[2] / "docs" / "http.md").read_text(),
    re.DOTALL | re.MULTILINE,
)


def test_an_interruption_of_the_start_ends_the_registry(monkeypatch: pytest.MonkeyPatch):
    class Interrupted(Future[RunningRegistry]):
        def result(self, timeout: float | None = None) -> RunningRegistry:
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt  # the thread still starts, or has just started
            return super().result(timeout)

    monkeypatch.setattr("revstore_async.testing.registry.Future", Interrupted)
    before = threading.active_count()

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt), running():
            pass

    interrupted()
    assert threading.active_count() == before


def test_the_test_in_the_documents_passes(tmp_path: Path):
    (program,) = PROGRAM
    assert len(program.split("def test")[1].splitlines()) <= 10
    (tmp_path / "test_mine.py").write_text(program)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            tmp_path,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


def test_each_test_gets_an_empty_registry(revstore: RunningRegistry):
    assert httpx.get(f"{revstore.url}/v2/_catalog").json() == {"repositories": []}
    assert revstore.url == f"http://{revstore.host}"


async def test_a_coroutine_can_use_it_too_and_reach_the_engine(revstore: RunningRegistry):
    stored = revstore.run(
        lambda registry: registry.repository(NAME).manifests.put(DOCUMENT, tag="v1", check_layers=False)
    )
    async with httpx.AsyncClient(base_url=revstore.url) as client:
        assert (await client.get(at("manifests/v1"))).content == DOCUMENT
    assert [type(event) for event in revstore.events] == [ManifestPulled]
    assert revstore.events[0].digest == stored.digest


def test_it_takes_a_store_a_policy_and_an_access_policy(tmp_path: Path):
    url = (tmp_path / "store").as_uri()
    with running(url, policy=Policy(check_layers=False)) as registry:
        httpx.put(registry.url + at("manifests/v1"), content=DOCUMENT).raise_for_status()
        assert [type(event) for event in registry.events] == [ManifestPushed]
    with running(url, access=ReadOnly()) as registry:
        assert httpx.get(registry.url + at("manifests/v1")).content == DOCUMENT
        assert httpx.delete(registry.url + at("manifests/v1")).status_code == 403


def test_nothing_of_it_is_left():
    before = threading.active_count()
    with running() as registry:
        assert httpx.get(f"{registry.url}/v2/").status_code == 200
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{registry.url}/v2/")


def test_a_store_that_can_t_be_opened_is_told_to_the_test():
    before = threading.active_count()
    with pytest.raises(InvalidStoreURL):
        with running("nonsense:"):
            pass
    assert threading.active_count() == before


def test_a_failed_test_ends_it_as_well():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        with running():
            raise ZeroDivisionError
    assert threading.active_count() == before


async def test_an_application_is_served_from_the_test_s_own_loop():
    async with open_driver("memory:") as driver:
        registry = Registry(driver)
        async with serving(RegistryApp(registry)) as url, httpx.AsyncClient(base_url=url) as client:
            await registry.repository(NAME).manifests.put(DOCUMENT, tag="v1", check_layers=False)
            answer = await client.get(at("manifests/v1"))
            assert answer.headers["docker-content-digest"] == Digest.of(DOCUMENT)
