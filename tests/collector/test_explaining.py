"""A program learns which rule decides about a tag or manifest, and what would go with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Policy, Registry, Repository
from revstore_async.collector import Explanation, Numbers, Retention
from revstore_async.errors import InvalidTag, ManifestUnknown, TagUnknown
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.parts.documents import image, index, schema1, signed

CONFIG = b"{}"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A store's clock."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def old(clock: Clock) -> AsyncIterator[Registry]:
    """A registry with a tag for each of ten days; `v1.9.0` is the newest one."""
    policy = Policy(immutable=lambda _, tag: tag == "fixed")
    async with Registry(MemoryDriver(MemoryStore(), clock=clock), policy=policy) as registry:
        for number in range(10):
            await put(registry.repository("library/hello"), f"layer {number}", f"v1.{number}.0")
            clock.now += timedelta(days=1)
        yield registry


async def put(repository: Repository, text: str, *tags: str) -> Digest:
    for content in (CONFIG, text.encode()):
        await repository.blobs.put(content)
    return (await repository.manifests.put(image(CONFIG, text.encode()), tags=tags)).digest


async def asked(registry: Registry, rules: str | None, reference: str = "v1.3.0") -> Explanation:
    retention = None if rules is None else Retention.parse(rules)
    return await registry.collector.explain("library/hello", reference, retention)


def rule(decision: str, tags: str = "v*") -> str:
    return f'[[rule]]\ntags = "{tags}"\n{decision}\n'


async def test_without_rules_a_tag_stays(old: Registry) -> None:
    found = await asked(old, None)
    assert (found.stays, found.why, found.rule) == (True, "there are no rules", None)
    assert (found.tag, found.digest, found.conditions) == ("v1.3.0", Digest.of(image(CONFIG, b"layer 3")), [])
    assert (found.takes.tags, found.takes.revisions, found.takes.blobs, found.young) == (1, 1, 2, False)
    assert found.takes.bytes > len(image(CONFIG, b"layer 3") + b"layer 3")


@pytest.mark.parametrize(
    ("decision", "stays", "why", "conditions"),
    [
        ("keep = true", True, "rule 1", []),
        ("expire = true", False, "rule 1", []),
        ("keep = { newest = 6 }", False, "rule 1", ["newest = 6: it is number 7 of 10"]),
        ("keep = { newest = 7 }", True, "rule 1 (newest)", ["newest = 7: it is number 7 of 10"]),
        ("keep = { semver = 3 }", False, "rule 1", ["semver = 3: 1.3.0 is number 7 of 10"]),
        ('expire = { younger = "8d" }', False, "rule 1 (younger)", ["younger = 8d: it is 7d old"]),
        (
            "keep = { newest = 1, younger = '36h', per = '^v1.(3)' }",
            True,
            "rule 1 (newest)",
            ["newest = 1: it is number 1 of 1 of 3", "younger = 1d 12h: it is 7d old"],
        ),
    ],
)
async def test_the_rule_tells_its_conditions_with_places_and_ages(
    old: Registry, decision: str, stays: bool, why: str, conditions: list[str]
) -> None:
    found = await asked(old, rule(decision))
    assert (found.stays, found.why, found.rule, found.conditions) == (stays, why, 1, conditions)


async def test_a_tag_that_no_rule_names_and_one_without_a_version(old: Registry) -> None:
    await put(old.repository("library/hello"), "other", "latest")
    found = await asked(old, rule("expire = true"), "latest")
    assert (found.stays, found.why, found.rule, found.young) == (True, "no rule names it", None, True)
    found = await asked(old, rule("keep = { semver = 2 }", "*"), "latest")
    assert (found.stays, found.conditions) == (False, ["semver = 2: it is no semantic version"])


async def test_immutable_pinned_and_unreadable(old: Registry, clock: Clock) -> None:
    repository = old.repository("library/hello")
    await put(repository, "fixed", "fixed")
    found = await asked(old, rule("expire = true", "*"), "fixed")
    assert (found.stays, found.why) == (True, "the policy makes it immutable")
    pinned = Digest.of(image(CONFIG, b"layer 3"))
    pin = f'pinned = ["{pinned}"]\n{rule("expire = true")}'
    assert (await asked(old, pin)).takes.revisions == 0
    found = await asked(old, f'history = "0s"\n{pin}', pinned)
    assert (found.stays, found.why) == (True, "it is pinned")
    await old.driver.put(f"docker/registry/v2/blobs/sha256/{pinned.hex[:2]}/{pinned.hex}/data", b"rotten")
    found = await asked(old, rule("expire = true"), "v1.2.0")
    assert (found.stays, found.why) == (True, f"manifest {pinned} can't be read")


async def test_history_keeps_the_manifest_and_not_the_tag(old: Registry) -> None:
    digest = Digest.of(image(CONFIG, b"layer 1"))
    found = await asked(old, rule("expire = true"), digest)
    assert (found.tag, found.stays, found.why) == (None, True, "tag v1.1.0 had it lately")
    found = await asked(old, f'history = "0s"\n{rule("expire = true")}', digest)
    assert (found.stays, found.why) == (False, "no tag, pin or rule keeps it")
    assert (found.takes.revisions, found.takes.blobs) == (1, 3)  # with the config, since all tags expire


async def test_a_digest_with_several_tags_goes_when_all_go(old: Registry) -> None:
    await old.repository("library/hello").tags.set("stable", Digest.of(image(CONFIG, b"layer 3")))
    found = await asked(old, rule("expire = true"))
    assert (found.stays, found.takes) == (False, Numbers(keys=1, bytes=71, blobs=0, tags=1, revisions=0))
    found = await asked(old, rule("expire = true"), Digest.of(image(CONFIG, b"layer 3")))
    assert (found.stays, found.why) == (
        True,
        "a tag had it lately; tag stable: no rule names it; tag v1.3.0 had it lately",
    )


async def test_untagged_manifests_children_and_subjects(registry: Registry, repository: Repository) -> None:
    child = await put(repository, "a child")
    whole = (await repository.manifests.put(index(image(CONFIG, b"a child")), tags=["latest"])).digest
    found = await registry.collector.explain("library/hello", child)
    assert (found.stays, found.why) == (True, f"tag latest: no rule names it, by way of {whole}")
    assert (await registry.collector.explain("library/hello", "latest")).takes.revisions == 2
    subject = f"sha256-{'a' * 64}"
    lone = await put(repository, "untagged")
    untagged = 'history = "0s"\n[[rule]]\nuntagged = true\nkeep = { newest = 1 }\n'
    found = await registry.collector.explain("library/hello", lone, Retention.parse(untagged))
    assert (found.stays, found.why) == (True, "untagged: rule 1 (newest)")
    assert found.conditions == ["newest = 1: it is number 1 of 1"]
    await repository.tags.set(subject, lone)
    assert (await registry.collector.explain("library/hello", subject)).stays


async def test_the_tag_of_a_subject_that_goes_goes(registry: Registry, repository: Repository) -> None:
    subject = await put(repository, "a subject", "v1")
    await put(repository, "its signatures", f"sha256-{subject.hex}.sig")
    rules = Retention.parse('history = "0s"\n[[rule]]\ntags = "v1"\nexpire = true\n')
    found = await registry.collector.explain("library/hello", f"sha256-{subject.hex}.sig", rules)
    assert (found.stays, found.why) == (False, "its subject goes")


async def test_signatures_go_along(registry: Registry, repository: Repository) -> None:
    layer = (await repository.blobs.put(b"a layer")).digest
    await repository.manifests.put(signed(schema1(layer), 1, 2), tag="latest")
    assert (await registry.collector.explain("library/hello", "latest")).takes.blobs == 4


async def test_what_is_not_there_is_an_error(registry: Registry, repository: Repository) -> None:
    await put(repository, "a layer", "latest")
    with pytest.raises(TagUnknown):
        await registry.collector.explain("library/hello", "v1")
    with pytest.raises(ManifestUnknown):
        await registry.collector.explain("library/hello", Digest.of(b"none"))
    with pytest.raises(InvalidTag):
        await registry.collector.explain("library/hello", "not a tag")
