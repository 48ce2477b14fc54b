"""What errors say: who, what and where, in words, and never how Python represents an object."""

import dataclasses
import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from revstore_async import Digest, Registry, RepositoryName, Tag, errors
from revstore_async.server import AccessPolicy, Action, Everybody, Need, Principal, ReadOnly, RegistryApp
from tests.parts.serving import ask
from tests.server.test_errors import error_classes

DIGEST = Digest("sha256:" + "0" * 64)
UPLOADS = "/v2/team/app/blobs/uploads/"
REPRESENTATION = re.compile(r"<|\bat 0x|\w+\(|datetime\.")


async def nobody(_principal: Principal, _need: Need) -> bool:
    return False


class Alice(Everybody):
    async def authenticate(self, connection: object) -> Principal:
        return Principal("alice")


def message(answer: object) -> str:
    (error,) = answer.json()["errors"]
    return str(error["message"])


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", UPLOADS, "push to team/app"),
        ("GET", "/v2/team/app/tags/list", "pull from team/app"),
        ("DELETE", f"/v2/team/app/manifests/{DIGEST}", "delete from team/app"),
        ("GET", "/v2/_catalog", "list the repositories"),
    ],
)
@pytest.mark.parametrize(("policy", "who"), [(Alice, "alice"), (Everybody, "anonymous")])
async def test_a_refusal_says_who_may_not_do_what_where(
    in_memory: Registry, method: str, path: str, said: str, policy: type[Everybody], who: str
):
    answer = await ask(RegistryApp(in_memory, access=policy(nobody)), path, method)
    assert (answer.status_code, message(answer)) == (403, f"{who} may not {said}")


async def test_a_refusal_says_that_the_registry_is_read_only(in_memory: Registry):
    answer = await ask(RegistryApp(in_memory, access=ReadOnly()), UPLOADS, "POST")
    assert message(answer) == "anonymous may not push to team/app: the registry is read-only"
    read = await ask(RegistryApp(in_memory, access=ReadOnly(nobody)), "/v2/team/app/tags/list")
    assert message(read) == "anonymous may not pull from team/app"


@pytest.mark.parametrize("action", Action)
def test_there_are_words_for_each_action(action: Action):
    for repository in ("team/app", ""):
        said = str(errors.Forbidden(action, repository, "alice"))
        assert said.startswith("alice may not ")
        assert "{" not in said
        assert "do that" not in said


def test_a_hostile_name_of_a_caller_is_escaped_and_cut():
    said = str(errors.Forbidden("push", "a", "x\n\x1b[31m" + "y" * 10_000))
    assert said.isprintable()
    assert len(said) < 400


class Odd:
    """An object without any text of its own."""


FACTS = [
    Action.PUSH,
    Digest,
    Odd(),
    AccessPolicy.check,
    DIGEST,
    Tag("v1"),
    RepositoryName("a/b"),
    Path("/some/where"),
    timedelta(seconds=3),
    ip_network("10.0.0.0/8"),
    (Action.PUSH, DIGEST),
    [Odd(), Action.PULL],
    {Action.PUSH: Odd()},
    frozenset({Action.PULL}),
    LookupError("what is not there"),
    None,
    b"\xff",
    1.5,
]


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_no_message_shows_how_python_represents_a_fact(kind: type[errors.RevstoreError]):
    names = [field.name for field in dataclasses.fields(kind)]
    for fact in FACTS:
        facts = dict.fromkeys(names, fact)
        if "errors" in facts:
            facts["errors"] = (errors.InvalidTag(Tag("v1"), "this is a test"),)
        if "offered" in facts:
            facts["offered"] = frozenset({"one", "another"})
        said = str(kind(**facts))
        assert not REPRESENTATION.search(said), said


def test_a_collection_of_many_facts_is_cut():
    said = str(errors.NotTrusted(tuple(f"KEY{number}" for number in range(10_000))))
    assert "and 9980 more" in said
    assert len(said) < 500
