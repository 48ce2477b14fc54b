"""Every public method takes the forms in the table, and refuses another type by name, before any request.

The methods come by introspection: a new one is tested by the names of its parameters. A parameter that the table
does not know fails the test.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from revstore_async import (
    ABSENT,
    CURRENT,
    Digest,
    Registry,
    RepositoryName,
    Retention,
    Tag,
    errors,
    open_driver,
    sign,
)
from revstore_async.blobs.layers import LayerStore
from revstore_async.blobs.store import BlobStore
from revstore_async.manifests.service import ManifestService
from revstore_async.registry import Repository
from revstore_async.repository_deletion import DeletionProgress
from revstore_async.revisions.referrers import ReferrerStore
from revstore_async.revisions.revision import Signatures
from revstore_async.revisions.store import RevisionStore
from revstore_async.tags.store import TagStore
from revstore_async.uploads.store import UploadStore
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import NAME, image, key

CONTENT = b"{}"
DOCUMENT = image(CONTENT)
D, REVISION = Digest.of(CONTENT), Digest.of(DOCUMENT)
NOW = datetime.now(UTC)

PLUMBING = {
    BlobStore: {"fetch", "kept", "link", "linked", "look", "readlink", "rely", "resolve", "verified"},
    LayerStore: {"find", "link_stored", "renew"},
    RevisionStore: {"is_plain", "rely_within", "stat", "with_signatures"},
    TagStore: {"delete_all_of", "read"},
    ManifestService: {"head"},
}
"""Methods for the engine's own packages: they take values that were judged before, and judge them no more."""


@dataclass(frozen=True)
class Argument:
    """A parameter: the forms that it takes, the first one for all calls; the types that it takes."""

    forms: list[Any]
    kinds: tuple[type, ...]
    inside: bool = False
    equal: bool = True
    """Whether all forms mean the same, so that calls with each give the same answer."""


def text(*forms: object, equal: bool = True) -> Argument:
    return Argument([*forms], (str,), equal=equal)


def number(*forms: int | None) -> Argument:
    return Argument([*forms], (int,), equal=False)


ARGUMENTS: dict[str, Argument] = {
    "algorithm": text("sha256", "sha512", equal=False),
    "artifact_type": text(None, "application/vnd.example", equal=False),
    "at_once": number(None, 1),
    "before": Argument([NOW], (datetime,)),
    "candidates": Argument([[NAME], (RepositoryName(NAME),)], (), inside=True),
    "content": Argument([CONTENT, bytearray(CONTENT), memoryview(CONTENT)], (bytes, bytearray, memoryview)),
    "digest": text(str(D), D),
    "document": Argument(
        [DOCUMENT, bytearray(DOCUMENT), memoryview(DOCUMENT)], (bytes, bytearray, memoryview)
    ),
    "expected": Argument([None, str(REVISION), REVISION, ABSENT], (str,), equal=False),
    "expires": Argument([timedelta(minutes=1)], (timedelta,)),
    "id": text("11111111-1111-4111-8111-111111111111"),
    "key": text("a/key"),
    "last": text(None),
    "length": number(None, 2),
    "limit": number(100, 1),
    "media_type": text(None),
    "method": text("GET", "HEAD", equal=False),
    "name": text(NAME, RepositoryName(NAME)),
    "offset": number(0),
    "older_than": Argument([timedelta(days=1)], (timedelta,)),
    "payload": Argument(
        [DOCUMENT, bytearray(DOCUMENT), memoryview(DOCUMENT)], (bytes, bytearray, memoryview)
    ),
    "progress": Argument([None, DeletionProgress()], (DeletionProgress,), equal=False),
    "reference": text("latest", Tag("latest"), str(REVISION), REVISION, equal=False),
    "signatures": Argument([(), [sign(DOCUMENT, key(1))]], (), inside=True, equal=False),
    "size": number(None, 2),
    "source": text(NAME, RepositoryName(NAME)),
    "start_after": text(None, "a", equal=False),
    "subject": text(str(REVISION), REVISION),
    "tag": text("latest", Tag("latest")),
    "tags": Argument([(), ["latest"], (Tag("latest"),)], (), inside=True, equal=False),
    "time": Argument([NOW], (datetime,)),
    "until": Argument([None, NOW], (datetime,), equal=False),
}
"""The parameters by name."""

FLAGS = {"check_layers", "fresh", "verify"}
"""Parameters that are true or false: Python takes every object for one of these."""

OF_REVISIONS = {(RevisionStore, "digest"), (TagStore, "digest")}
OTHERS: list[Any] = [None, 5, 1.5, b"bytes", "text", ["list"], {"a": "dict"}, object(), timedelta(1), NOW]


def methods() -> Iterator[tuple[type, str]]:
    stores = (BlobStore, LayerStore, UploadStore, RevisionStore, ReferrerStore, TagStore, ManifestService)
    for store in (Registry, Repository, *stores):
        for name, member in vars(store).items():
            public = not name.startswith("_") and name not in PLUMBING.get(store, ())
            if public and callable(member):
                yield store, name


METHODS = list(methods())
each_method = pytest.mark.parametrize(
    ("store", "name"), METHODS, ids=[f"{s.__name__}.{n}" for s, n in METHODS]
)


@dataclass
class House:
    """A registry with one image under a tag."""

    registry: Registry
    driver: TracingDriver
    stores: dict[type, object] = field(init=False)

    def __post_init__(self) -> None:
        repository = self.registry.repository(NAME)
        everything = [self.registry, repository, self.registry.blobs, *vars(repository).values()]
        self.stores = {type(each): each for each in everything}


async def opened() -> House:
    driver = TracingDriver(MemoryDriver())
    await driver.__aenter__()
    registry = Registry(driver, cache_size=0)
    repository = registry.repository(NAME)
    await repository.blobs.put(CONTENT)
    await repository.manifests.put(DOCUMENT, tag="latest")
    return House(registry, driver)


def parameters(store: type, name: str) -> dict[str, Argument]:
    """Return the arguments of a method, by the table; flags are left out."""
    found = {}
    for each in inspect.signature(getattr(store, name)).parameters.values():
        flag = each.name in FLAGS and each.annotation in (bool, bool | None)
        if each.name == "self" or flag:
            continue
        argument = ARGUMENTS[each.name]
        if (store, each.name) in OF_REVISIONS:
            argument = text(str(REVISION), REVISION)
        if each.annotation is Signatures:
            argument = Argument([*Signatures], (Signatures,), equal=False)
        found[each.name] = argument
    return found


def needed(store: type, name: str) -> dict[str, Any]:
    """Return the arguments of a plain call."""
    signature = inspect.signature(getattr(store, name)).parameters
    known = parameters(store, name)
    plain = {
        each: known[each].forms[0] for each in known if signature[each].default is inspect.Parameter.empty
    }
    if name == "put" and store in {BlobStore, LayerStore}:
        plain["digest"] = str(D)
    return plain


async def outcome(house: House, store: type, name: str, arguments: dict[str, Any]) -> object:
    """Return the result of a call, or the error of the tree that it raises; any other error is a failure."""
    try:
        answer = getattr(house.stores[store], name)(**arguments)
        if inspect.isawaitable(answer):
            return await answer
        if isinstance(answer, AsyncIterator):
            return [each async for each in answer]
        if hasattr(answer, "__aenter__"):
            async with answer as reader:
                return b"".join([piece async for piece in reader])
    except errors.RevstoreError as error:
        return error
    return answer


def comparable(answer: object) -> object:
    """Return the part of an answer that is the same for each call: not the name of a new upload."""
    return str(answer) if isinstance(answer, errors.RevstoreError) else type(answer)


@each_method
async def test_each_accepted_form_is_taken(store: type, name: str):
    plain = needed(store, name)
    first = comparable(await outcome(await opened(), store, name, plain))
    for parameter, argument in parameters(store, name).items():
        for form in argument.forms:
            answer = await outcome(await opened(), store, name, {**plain, parameter: form})
            assert not isinstance(answer, errors.WrongType), (parameter, form)
            if argument.equal and parameter in plain:
                assert comparable(answer) == first, (parameter, form)


@each_method
async def test_another_type_is_refused_by_name_before_any_request(store: type, name: str):
    plain, house = needed(store, name), await opened()
    for parameter, argument in parameters(store, name).items():
        optional = any(form is None for form in argument.forms)
        optional |= inspect.signature(getattr(store, name)).parameters[parameter].default is None
        wrong = [each for each in OTHERS if not isinstance(each, argument.kinds)]
        wrong = [each for each in wrong if not (each is None and optional)]
        if argument.inside:
            wrong = [*(each for each in wrong if not isinstance(each, list | dict)), [5], [None], [b"bytes"]]
        for other in wrong:
            house.driver.reset()
            answer = await outcome(house, store, name, {**plain, parameter: other})
            assert isinstance(answer, errors.WrongType), (parameter, other, answer)
            assert type(other).__name__ in str(answer) or argument.inside
            lazy = parameter == "candidates" and isinstance(
                other, list
            )  # they are taken as they are asked about
            assert lazy or not house.driver.requests, (parameter, other)


OF_THE_REGISTRY = {
    "driver": None,
    "layout": CURRENT,
    "policy": None,
    "cache_size": 0,
    "memory": 1 << 20,
    "memory_wait": timedelta(seconds=1),
}


@pytest.mark.parametrize("parameter", list(inspect.signature(Registry).parameters))
@pytest.mark.parametrize(
    "other", [5.5, "text", b"bytes", ["list"], object()], ids=lambda other: type(other).__name__
)
def test_a_registry_refuses_another_type_by_name(parameter: str, other: object):
    plain: dict[str, Any] = {**OF_THE_REGISTRY, "driver": MemoryDriver()}
    Registry(**plain)
    with pytest.raises(errors.WrongType, match=f"{parameter} must be .*, not {type(other).__name__}"):
        Registry(**{**plain, parameter: other})
    if parameter != "driver":
        del plain["driver"]
        with pytest.raises(errors.WrongType, match=f"{parameter} must be .*, not {type(other).__name__}"):
            Registry.open("memory:", **{**plain, parameter: other})


@pytest.mark.parametrize(
    "other", [None, 5, b"memory:", ["memory:"], object()], ids=lambda other: type(other).__name__
)
def test_a_store_s_url_is_text_or_a_path(other: Any):
    for call in (Registry.open, open_driver):
        with pytest.raises(errors.WrongType, match=f"url must be .*, not {type(other).__name__}"):
            call(other)


@pytest.mark.parametrize("folder", ["store", "with space", "100%41", "ä?b#c"])
async def test_the_path_of_a_folder_is_a_store(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / folder, Path(folder)):
        async with Registry.open(path) as registry:
            digest = (await registry.blobs.put(CONTENT)).digest
            assert (tmp_path / folder / registry.blobs.path(digest)).read_bytes() == CONTENT


async def test_a_collection_refuses_another_type_by_name_before_any_request():
    house = await opened()
    collector, others = (
        house.registry.collector,
        [5, "rules.toml", b"bytes", ["list"], {"rule": []}, object()],
    )
    calls: list[tuple[str, Callable[[Any], Awaitable[object]]]] = [
        ("retention", collector.plan),
        ("progress", lambda other: collector.plan(progress=other)),
        ("plan", collector.apply),
    ]
    house.driver.reset()
    for parameter, call in calls:
        for other in others:
            with pytest.raises(errors.WrongType, match=f"{parameter} must be .*, not {type(other).__name__}"):
                await call(other)
    assert not house.driver.requests


@pytest.mark.parametrize(
    "other", [None, 5, b"bytes", ["list"], object()], ids=lambda other: type(other).__name__
)
def test_retention_rules_of_another_type_are_refused_by_name(other: Any):
    for read in (Retention.read, Retention.parse, lambda members: Retention.from_members(members, source="")):
        with pytest.raises(errors.WrongType, match=f"not {type(other).__name__}"):
            read(other)


def test_the_stores_have_methods():
    assert len(METHODS) > 40


@pytest.mark.parametrize("store", PLUMBING)
def test_each_left_out_method_exists(store: type):
    assert PLUMBING[store] <= vars(store).keys()
