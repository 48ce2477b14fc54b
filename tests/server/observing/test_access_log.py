"""The access log: a line for each request, and nothing in it that is secret."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator

import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from revstore_async import Registry
from revstore_async.errors import Unavailable
from revstore_async.server import AccessLog, Htpasswd, RegistryApp
from revstore_drivers.memory import MemoryDriver
from tests.parts import tokens
from tests.parts.bare import Bare, Readers
from tests.parts.serving import ask, serving

TAGS = "/v2/library/hello/tags/list"
UPLOADS = "/v2/library/hello/blobs/uploads/"


class Lines:
    """The lines of the access log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "revstore_async.access")
        self._caplog = caplog

    @property
    def texts(self) -> list[str]:
        return [each.getMessage() for each in self._caplog.records if each.name == "revstore_async.access"]

    @property
    def last(self) -> dict[str, object]:
        read: dict[str, object] = json.loads(self.texts[-1])
        return read


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return Lines(caplog)


async def test_a_request_is_one_line_that_says_what_happened(in_memory: Registry, lines: Lines):
    body = b"what the layer holds"
    answer = await ask(AccessLog(RegistryApp(in_memory)), UPLOADS, "POST", content=body)
    assert answer.status_code == 202
    (text,) = lines.texts
    assert "\n" not in text
    line = lines.last
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", str(line.pop("time")))
    assert re.fullmatch(r"[0-9a-f]{16}", str(line.pop("request_id")))
    assert float(str(line.pop("seconds"))) >= 0
    assert int(str(line.pop("received"))) in {0, len(body)}  # a POST without a digest needs no body
    assert line == {
        "client": "127.0.0.1",
        "agent": line["agent"],
        "method": "POST",
        "route": "/v2/<name>/blobs/uploads/",
        "path": UPLOADS,
        "repository": "library/hello",
        "principal": "",
        "tried": "",
        "status": 202,
        "error": "",
        "sent": len(answer.content),
        "complete": True,
    }


async def test_bytes_are_those_of_the_bodies(in_memory: Registry, lines: Lines):
    app = AccessLog(RegistryApp(in_memory))
    pushed = await ask(app, "/v2/a/manifests/latest", "PUT", content=b"x" * 1000)
    assert (lines.last["received"], lines.last["sent"]) == (1000, len(pushed.content))
    await ask(app, "/v2/a/manifests/latest", "HEAD")
    assert lines.last["sent"] == 0


async def test_who_called_is_told_even_where_the_caller_was_refused(
    in_memory: Registry, lines: Lines, tmp_path
):
    (tmp_path / "users").write_text("ann:$2b$04$VIQ9Yj8YZi2mXZ8KAqgll.DcI5oyCRNPeglNV0IsN0cHlkqYUMD3.\n")

    async def nobody(*_: object) -> bool:
        return False

    app = AccessLog(RegistryApp(in_memory, access=Htpasswd(tmp_path / "users", nobody)))
    await ask(app, TAGS, auth=("ann", "x"))
    assert (lines.last["principal"], lines.last["tried"], lines.last["error"]) == ("ann", "", "DENIED")
    await ask(app, TAGS, auth=("ann", "hunter2"))
    assert (lines.last["principal"], lines.last["tried"], lines.last["error"]) == ("", "ann", "UNAUTHORIZED")
    await ask(app, TAGS, auth=("nobody", "hunter2"))
    assert lines.last["tried"] == "nobody"
    assert not any("hunter2" in text or "Basic" in text for text in lines.texts)


async def test_the_user_who_was_tried_is_one_line_of_bounded_length_and_no_secret(
    in_memory: Registry, lines: Lines, tmp_path
):
    (tmp_path / "users").write_text("ann:$2b$04$VIQ9Yj8YZi2mXZ8KAqgll.DcI5oyCRNPeglNV0IsN0cHlkqYUMD3.\n")
    app = AccessLog(RegistryApp(in_memory, access=Htpasswd(tmp_path / "users", failures=3)))
    for user, password, tried in [
        ("glpat-0123456789", "", ""),  # a token in the user's place
        ("x" * 5000, "x", "x" * 64),
        ("a\u2028\u009b31m", "x", "a\u2028\u009b31m"),
        ("evil\n{}", "x", ""),
        ("late", "x", "late"),  # 429 by now
    ]:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        await ask(app, TAGS, headers={"Authorization": f"Basic {credentials}"})
        assert lines.last["tried"] == tried
        assert re.fullmatch(r"[\x20-\x7e]+", lines.texts[-1])
    assert (lines.last["status"], lines.last["error"]) == (429, "TOOMANYREQUESTS")


async def test_whom_an_expired_token_is_for_is_told_and_what_a_forged_one_says_is_not(
    in_memory: Registry, lines: Lines
):
    app = AccessLog(RegistryApp(in_memory, access=tokens.policy()))
    for text, tried in [
        (tokens.token(tokens.claims(exp=1)), "ann"),
        (tokens.token(key=tokens.STRANGER), ""),
        ("x.y.z", ""),
    ]:
        await ask(app, TAGS, headers={"Authorization": f"Bearer {text}"})
        assert (lines.last["status"], lines.last["tried"]) == (401, tried)
        assert text not in lines.texts[-1]


@pytest.mark.parametrize("agent", ["docker/27.0", "\x1b[31m\r\n", "é", ""])
async def test_the_user_agent_is_told(in_memory: Registry, lines: Lines, agent: str):
    headers = [(b"user-agent", agent.encode("latin-1"))]
    scope: Scope = {"type": "http", "method": "GET", "path": TAGS, "headers": headers, "client": None}
    scope["query_string"] = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_message: Message) -> None:
        pass

    await AccessLog(RegistryApp(in_memory))(scope, receive, send)
    assert lines.last["agent"] == agent
    assert lines.last["error"] == "NAME_UNKNOWN"
    assert re.fullmatch(r"[\x20-\x7e]+", lines.texts[-1])
    headers[0] = (b"user-agent", b"a" * 5000)
    await AccessLog(RegistryApp(in_memory))({**scope, "headers": headers}, receive, send)
    assert lines.last["agent"] == "a" * 256


async def test_the_error_log_names_a_request_by_the_id_that_its_line_has_and_the_client_is_told(
    in_memory: Registry, lines: Lines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fail(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(RegistryApp, "_call", fail)
    headers: list[dict[str, str]] = [{}, {"X-Request-ID": "from-the-proxy-7"}]
    for given in headers:
        answer = await ask(AccessLog(RegistryApp(in_memory)), TAGS, headers=given)
        known = str(lines.last["request_id"])
        assert known == given.get("X-Request-ID", known)
        assert f"logged as {known}" in answer.text
        errors = [each for each in caplog.records if each.name == "revstore_async.server"]
        assert known in errors[-1].getMessage()
        assert lines.last["error"] == "UNKNOWN"


async def test_an_answer_that_breaks_off_is_told_with_its_error_and_its_id(lines: Lines):
    driver = Readers(MemoryDriver())
    async with Registry(driver) as registry:
        digest = (await registry.repository("a").blobs.put(b"x" * (1 << 21))).digest
        driver.fail_after, driver.error = 1 << 20, Unavailable("", "it broke off")
        request = Bare(AccessLog(RegistryApp(registry)), "GET", f"/v2/a/blobs/{digest}")
        with pytest.raises(Unavailable) as caught:
            await asyncio.gather(request.call(), request.rest())
    assert (lines.last["status"], lines.last["complete"]) == (200, False)
    assert lines.last["error"] == "UNAVAILABLE"
    assert str(lines.last["request_id"]) in caught.value.__notes__[0]


async def test_no_query_stands_in_the_log(in_memory: Registry, lines: Lines):
    await ask(AccessLog(RegistryApp(in_memory)), TAGS + "?X-Amz-Signature=abcdef&token=hunter2")
    assert lines.last["path"] == TAGS
    assert "abcdef" not in lines.texts[-1]
    assert "hunter2" not in lines.texts[-1]


@pytest.mark.parametrize("text", ["\n", "\r", "\x1b[31m", "\x7f", "\u2028", '"', "\0", "\x85"])
async def test_whatever_a_path_holds_a_line_is_a_line_of_plain_characters(
    in_memory: Registry, lines: Lines, text: str
):
    path = f'/v2/a{text}{{"status": 200}}/tags/list'
    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "client": None}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await AccessLog(RegistryApp(in_memory))(scope, receive, send)
    (line,) = lines.texts
    assert re.fullmatch(r"[\x20-\x7e]+", line)
    assert lines.last["path"] == path
    assert lines.last["status"] in {400, 404}


async def test_a_long_path_is_cut(in_memory: Registry, lines: Lines):
    await ask(AccessLog(RegistryApp(in_memory)), "/v2/" + "a" * 5000)
    assert len(str(lines.last["path"])) == 1024


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-123", True), ("a b", False), ("a" * 129, False), ("", False)]
)
async def test_a_plain_request_id_of_the_client_is_kept(
    in_memory: Registry, lines: Lines, given: str, kept: bool
):
    await ask(AccessLog(RegistryApp(in_memory)), "/v2/", headers={"X-Request-ID": given})
    assert (lines.last["request_id"] == given) == kept


async def test_a_client_that_leaves_is_told_as_incomplete(lines: Lines):
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await AccessLog(StreamingResponse(endless()))(scope, receive, send)
        finally:
            done.set()

    async with serving(app) as server:
        reader, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(1000)
        writer.transport.abort()
        await done.wait()
    assert (lines.last["status"], lines.last["complete"]) == (200, False)


async def test_an_application_that_fails_is_logged_as_500(lines: Lines):
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await ask(AccessLog(broken), "/v2/")
    assert (lines.last["status"], lines.last["complete"]) == (500, False)
