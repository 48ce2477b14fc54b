"""Users and passwords."""

import base64
import logging
import os
from datetime import timedelta
from pathlib import Path

import bcrypt
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revstore_async import Registry
from revstore_async.errors import InvalidArgument, InvalidHtpasswd, Unauthenticated
from revstore_async.server import Action, Htpasswd, Need, Principal, RegistryApp
from revstore_async.server.access.credentials import Remembered, user_and_password
from revstore_async.server.access.htpasswd import REMEMBERED, Users
from tests.parts.passwords import Clock, line
from tests.parts.serving import client_of


class Counted:
    """bcrypt, counted: the hashes that were computed, by their cost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[bytes] = []
        self.real = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", self)

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.hashes.append(hashed)
        return self.real(password, hashed)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# who may come in\n\n{line('ann', 'secret')}\n{line('bob', 'pässword')}\n")
    return path


def rewrite(path: Path, text: str) -> None:
    """Write a file so that its time of change differs, however coarse times are."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


async def ask(registry: Registry, policy: Htpasswd, path: str = "/v2/", **options: object) -> httpx.Response:
    async with client_of(RegistryApp(registry, access=policy)) as client:
        return await client.get(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["2y", "2a", "2b"])
async def test_a_user_comes_in_by_password(in_memory: Registry, tmp_path: Path, prefix: str):
    (tmp_path / "users").write_text(line("ann", "secret", prefix))
    answer = await ask(in_memory, Htpasswd(tmp_path / "users"), auth=("ann", "secret"))
    assert answer.status_code == 200


async def test_a_file_may_begin_with_a_byte_order_mark(in_memory: Registry, tmp_path: Path):
    (tmp_path / "users").write_text(line("ann", "secret"), "utf-8-sig")
    answer = await ask(in_memory, Htpasswd(tmp_path / "users"), auth=("ann", "secret"))
    assert answer.status_code == 200


async def test_neither_user_nor_password_is_anonymous(in_memory: Registry, users: Path, counted: Counted):
    class PublicReads(Htpasswd):
        async def allows(self, principal: Principal, need: Need) -> bool:
            return need.action is Action.PULL or await super().allows(principal, need)

    policy = PublicReads(users)
    tags, empty = "/v2/library/hello/tags/list", {"Authorization": "Basic Og=="}
    assert (await ask(in_memory, policy, tags, headers=empty)).status_code == 404
    entrance = await ask(in_memory, policy, headers=empty)
    assert (entrance.status_code, entrance.json()["errors"][0]["message"]) == (
        401,
        "authentication is required",
    )
    assert not counted.hashes


async def test_a_password_is_utf8(in_memory: Registry, users: Path):
    credentials = base64.b64encode("bob:pässword".encode()).decode()
    answer = await ask(in_memory, Htpasswd(users), headers={"Authorization": f"Basic {credentials}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/v2/library/hello/tags/list"])
async def test_who_brings_no_password_is_asked_for_one(in_memory: Registry, users: Path, path: str):
    answer = await ask(in_memory, Htpasswd(users, realm='my "own" registry'), path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == r'Basic realm="my \"own\" registry", charset="UTF-8"'
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("user", "password"),
    [("ann", "wrong"), ("ann", ""), ("nobody", "secret"), ("", "secret"), ("ann", "x" * 73)],
)
async def test_a_wrong_user_or_password_is_refused(
    in_memory: Registry, users: Path, user: str, password: str
):
    answer = await ask(in_memory, Htpasswd(users), auth=(user, password))
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert "secret" not in answer.text


async def test_an_unknown_user_and_a_wrong_password_are_told_alike(in_memory: Registry, users: Path):
    policy = Htpasswd(users)
    unknown = await ask(in_memory, policy, auth=("nobody", "wrong"))
    wrong = await ask(in_memory, policy, auth=("ann", "wrong"))
    assert unknown.content == wrong.content


async def test_an_unknown_user_costs_as_much_as_the_costliest(
    in_memory: Registry, tmp_path: Path, counted: Counted
):
    costly = bcrypt.hashpw(b"secret", bcrypt.gensalt(6)).decode()
    (tmp_path / "users").write_text(f"{line('ann', 'secret')}\nbob:{costly}\n")
    await ask(in_memory, Htpasswd(tmp_path / "users"), auth=("nobody", "secret"))
    (hashed,) = counted.hashes
    assert hashed.startswith(b"$2b$06$")
    assert hashed != costly.encode()


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YW5uOnNlY3JldA==, Basic YW5uOnNlY3JldA==",
        "Basic YW5uOnNlY3JldA",  # no padding
        "Basic YW5u",  # no colon
        "Basic " + base64.b64encode(b"ann:sec\xffret").decode(),
        "Basic " + base64.b64encode(b"ann:sec\0ret").decode(),
        "Basic " + base64.b64encode(b"ann\r\n:secret").decode(),
        "Bearer YW5uOnNlY3JldA==",
        "Basic " + "A" * (1 << 14),
    ],
)
async def test_credentials_of_another_form_are_refused(in_memory: Registry, users: Path, header: str):
    answer = await ask(in_memory, Htpasswd(users), headers={"Authorization": header})
    assert answer.status_code == 401


async def test_two_authorization_headers_are_refused(in_memory: Registry, users: Path):
    right = ("Authorization", "Basic YW5uOnNlY3JldA==")
    assert (await ask(in_memory, Htpasswd(users), headers=[right])).status_code == 200
    assert (await ask(in_memory, Htpasswd(users), headers=[right, right])).status_code == 401


@given(st.binary(max_size=60))
def test_any_credentials_are_a_user_and_a_password_or_refused(content: bytes):
    try:
        user, password = user_and_password(base64.b64encode(content).decode(), "Basic")
    except Unauthenticated:
        return
    assert f"{user}:{password}".encode() == content
    assert ":" not in user


async def test_a_right_password_is_computed_once_in_a_while(
    in_memory: Registry, users: Path, counted: Counted, clock: Clock
):
    policy = Htpasswd(users, remember=timedelta(seconds=60), clock=clock)
    for _ in range(3):
        assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 200
    assert len(counted.hashes) == 1
    clock.now = 60
    assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 200
    assert len(counted.hashes) == 2


async def test_a_wrong_password_is_computed_each_time(in_memory: Registry, users: Path, counted: Counted):
    policy = Htpasswd(users)
    for _ in range(2):
        assert (await ask(in_memory, policy, auth=("ann", "wrong"))).status_code == 401
    assert len(counted.hashes) == 2


async def test_nothing_is_remembered_where_that_is_asked_for(
    in_memory: Registry, users: Path, counted: Counted
):
    policy = Htpasswd(users, remember=timedelta(0))
    for _ in range(2):
        assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 200
    assert len(counted.hashes) == 2


async def test_two_users_with_one_hash_are_two_users(in_memory: Registry, tmp_path: Path):
    same = line("ann", "secret").partition(":")[2]
    (tmp_path / "users").write_text(f"ann:{same}\nbob:{same}\n")
    seen = []

    async def rule(principal: Principal, _need: Need) -> bool:
        seen.append(principal.name)
        return True

    policy = Htpasswd(tmp_path / "users", rule)
    for user in ("ann", "bob"):
        await ask(in_memory, policy, "/v2/_catalog", auth=(user, "secret"))
    assert seen == ["ann", "bob"]


def test_what_is_remembered_is_bounded_and_ends():
    clock = Clock()
    remembered = Remembered[int](2, clock)
    for number in range(3):
        remembered.keep(bytes([number]), number, 10)
    assert [remembered.find(bytes([number])) for number in range(3)] == [None, 1, 2]
    clock.now = 10
    assert remembered.find(b"\2") is None
    assert len(remembered) == 0
    assert REMEMBERED < 10_000


async def test_a_changed_file_counts_after_a_second(in_memory: Registry, users: Path, clock: Clock):
    policy = Htpasswd(users, clock=clock)
    assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 200
    rewrite(users, line("ann", "changed") + "\n" + line("new", "secret"))
    clock.now += 1.5
    assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 401  # remembered or not
    assert (await ask(in_memory, policy, auth=("ann", "changed"))).status_code == 200
    assert (await ask(in_memory, policy, auth=("new", "secret"))).status_code == 200
    rewrite(users, line("new", "secret"))
    clock.now += 1.5
    assert (await ask(in_memory, policy, auth=("ann", "changed"))).status_code == 401


@pytest.mark.parametrize("change", ["damaged", "gone"])
async def test_a_file_that_no_longer_counts_leaves_the_users_in_force_and_is_logged_once(
    in_memory: Registry, users: Path, clock: Clock, change: str, caplog: pytest.LogCaptureFixture
):
    policy = Htpasswd(users, clock=clock)
    if change == "gone":
        os.unlink(users)  # noqa: PTH108 (a few microseconds, in a test)
    else:
        rewrite(users, "ann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=")
    for _ in range(3):
        clock.now += 1.5
        assert (await ask(in_memory, policy, auth=("ann", "secret"))).status_code == 200
    assert [record.levelno for record in caplog.records if str(users) in record.message] == [logging.ERROR]


async def test_a_rule_is_asked_of_known_users_only(in_memory: Registry, users: Path):
    seen: list[tuple[str, Action]] = []

    async def rule(principal: Principal, need: Need) -> bool:
        seen.append((principal.name, need.action))
        return principal.name == "ann"

    policy = Htpasswd(users, rule)
    path = "/v2/library/hello/tags/list"
    assert (await ask(in_memory, policy, path)).status_code == 401
    assert (await ask(in_memory, policy, path, auth=("ann", "secret"))).status_code == 404
    refused = await ask(in_memory, policy, path, auth=("bob", "pässword".encode()))
    assert refused.status_code == 403
    assert "WWW-Authenticate" not in refused.headers
    assert seen == [("ann", Action.PULL), ("bob", Action.PULL)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("ann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", 1),
        ("# who\nann:$apr1$zYxw/$ABCDEFGHIJKLMNOPQRSTU1", 2),
        ("ann:$6$salt$hash", 1),
        ("ann:$5$salt$hash", 1),
        ("ann:rl5FQ.FjW0tM2", 1),
        ("ann:secret", 1),
        ("ann:$2x$05$" + "a" * 53, 1),
        ("ann:$2y$05$" + "a" * 52, 1),
        ("ann:$2y$05$" + "a" * 53 + ":more", 1),
        ("ann:$2y$03$" + "a" * 53, 1),
        ("ann:$2y$31$" + "a" * 53, 1),
        ("ann", 1),
        ("ann:", 1),
        (":$2y$05$" + "a" * 53, 1),
        ("\nann:$2y$05$" + "a" * 53 + "\nann:$2y$05$" + "b" * 53, 3),
    ],
)
def test_a_line_that_can_not_count_is_named_when_the_file_is_loaded(tmp_path: Path, text: str, number: int):
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(InvalidHtpasswd) as caught:
        Htpasswd(path)
    assert (caught.value.path, caught.value.line) == (str(path), number)
    assert "FjW0tM2" not in str(caught.value)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_file_is_read_or_refused_by_line(content: bytes):
    try:
        read = Users.read("users", content)
    except InvalidHtpasswd:
        return
    assert len(read.hashes) <= content.count(b"\n") + 1


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Htpasswd(tmp_path / "none")


def test_a_realm_that_no_header_can_hold_is_refused(users: Path):
    with pytest.raises(InvalidArgument):
        Htpasswd(users, realm="registry\r\nSet-Cookie: a=b")


def test_no_hash_stands_in_a_representation(users: Path):
    read = Users.read("users", users.read_bytes())
    assert "$2" not in repr(read)
