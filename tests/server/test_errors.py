"""How errors are told: one table, in the form of the spec, and nothing of what is inside."""

import inspect
import logging
from pathlib import Path

import httpx
import pytest

from revstore_async import Digest, Registry, errors
from revstore_async.server import RegistryApp, error_answers
from revstore_async.server.routes import ROUTES
from revstore_drivers.wrappers import FaultsDriver
from tests.parts.documents import NAME, image
from tests.parts.manifests_over_http import CODES, ask, at, codes, pushed

DOCUMENT = image(b"{}")
D = Digest.of(DOCUMENT)


@pytest.fixture
def app(lenient_app: RegistryApp) -> RegistryApp:
    return lenient_app


async def test_an_unexpected_error_is_logged_under_the_request_s_id_and_not_told(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fail(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("revstore_async.tags.store.TagStore.read", fail)
    with caplog.at_level(logging.ERROR):
        answer = await ask(app, "GET", at("manifests/v1"))
    assert answer.status_code == 500
    assert codes(answer) == ["UNKNOWN"]
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.getMessage().rpartition(" ")[2] in answer.text
    assert "the secret of the house" in str(record.exc_info)


async def test_what_is_damaged_in_the_store_is_not_told_with_its_keys(
    app: RegistryApp, caplog: pytest.LogCaptureFixture
):
    registry = app.registry
    await registry.repository(NAME).manifests.put(DOCUMENT, tag="v1")
    for info in (await registry.driver.list_all("")).entries:
        await registry.driver.put(info.key, b"damaged")
    for path in ("manifests/v1", f"manifests/{D}", f"_revstore/signatures/{D}"):
        answer = await ask(app, "GET", at(path))
        assert answer.status_code == 500
        assert codes(answer) == ["UNKNOWN"]
        assert "docker/registry" not in answer.text
    assert "docker/registry" in caplog.text


async def test_a_storage_that_does_not_answer_is_logged_without_a_traceback_each_time(
    silent: FaultsDriver, caplog: pytest.LogCaptureFixture
):
    assert (await ask(RegistryApp(Registry(silent)), "GET", at("manifests/v1"))).status_code == 503
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


TOLD_AS_OURS = (errors.TagContended, errors.UploadDamaged, errors.Overloaded)
"""No fault of the client's; what they tell names nothing that is stored, and the client can do something."""


def error_classes() -> list[type[errors.RevstoreError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return [each for _, each in found if issubclass(each, errors.RevstoreError)]


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_each_error_has_an_answer_of_its_branch(kind: type[errors.RevstoreError]):
    answer = error_answers.answer_of(kind.__new__(kind))
    assert answer.code in CODES
    if issubclass(kind, errors.InvalidInput | errors.NotFound) and not issubclass(
        kind, errors.KeyNotFound | errors.WriterNotFound | errors.InvalidStoreURL
    ):
        assert 400 <= answer.status < 500
    if answer.status >= 500:
        assert answer.told == issubclass(kind, TOLD_AS_OURS)
    if issubclass(kind, errors.Overloaded):
        assert kind.retryable
        assert answer.status in {429, 503}
    if issubclass(kind, errors.Damaged):
        assert answer.status >= 500 or issubclass(kind, errors.LinkDangling)
    if issubclass(kind, errors.Damaged) and not issubclass(kind, TOLD_AS_OURS):
        assert not answer.told


@pytest.mark.parametrize("kind", error_answers.TABLE, ids=lambda kind: kind.__name__)
def test_each_row_of_the_table_is_documented(kind: type[errors.RevstoreError]):
    document = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    answer = error_answers.TABLE[kind]
    assert f"| `{kind.__name__}` | `{answer.code}` | {answer.status} |" in document


async def test_no_answer_of_a_route_shows_where_the_storage_keeps_it(lenient: httpx.AsyncClient):
    await pushed(lenient, "v1", DOCUMENT)
    for route in ROUTES:
        path = route.path.replace("<name>", NAME).replace("<digest>", D).replace("<upload>", "x")
        path = path.replace("<reference>", "v1").replace("<tag>", "v1")
        if "GET" in route.endpoints and "uploads" not in path:
            assert "docker/registry" not in (await lenient.get(path)).text
