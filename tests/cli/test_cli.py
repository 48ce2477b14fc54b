"""The `revstore` command, run as a person or a script runs it."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import click
import pytest

from revstore_async import Digest, SigningKey, serialise, sign, verify_document
from revstore_async.cli.session import exit_code
from tests.cli.conftest import Run, on_each_store
from tests.parts.documents import image, index, schema1, without_key_id
from tests.parts.vectors import chained_key

CONFIG = b"{}"
IMAGE, OTHER = image(CONFIG), image(CONFIG, b"layer")
PAYLOAD = schema1(Digest.of(b"layer"))


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    made = SigningKey.generate()
    (tmp_path / "key.pem").write_bytes(made.to_pem())
    (tmp_path / "public.pem").write_bytes(made.public.to_pem())
    (tmp_path / "key.jwk").write_bytes(made.to_jwk())
    (tmp_path / "public.jwk").write_bytes(made.public.to_jwk())
    return made


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Documents to put: an image, another, and a manifest to sign."""
    (tmp_path / "image.json").write_bytes(IMAGE)
    (tmp_path / "other.json").write_bytes(OTHER)
    (tmp_path / "payload.json").write_bytes(PAYLOAD)


def put(run: Run, reference: str, file: str) -> str:
    ran = run("put", "--no-check-layers", reference, file)
    assert (ran.code, ran.err) == (0, "")
    return ran.text.strip()


@on_each_store
def test_put_and_get(run: Run, files: None) -> None:
    assert put(run, "library/hello:latest", "image.json") == Digest.of(IMAGE)
    for reference in ("library/hello:latest", f"library/hello@{Digest.of(IMAGE)}"):
        ran = run("get", reference)
        assert (ran.code, ran.out) == (0, IMAGE)
        described = run("get", "--json", reference).value
        assert described["digest"] == Digest.of(IMAGE)
        assert described["media_type"] == "application/vnd.oci.image.manifest.v1+json"
        assert described["content"].encode() == IMAGE
    ran = run("put", "--json", "--no-check-layers", "library/hello", "other.json")
    assert ran.value == {
        "repository": "library/hello",
        "tag": None,
        "digest": Digest.of(OTHER),
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": len(OTHER),
    }


def test_put_from_standard_input(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "revstore_async.cli", "--store", (tmp_path / "s").as_uri()]
    put = subprocess.run([*program, "put", "--no-check-layers", "a:b", "-"], input=IMAGE, capture_output=True)
    assert (put.returncode, put.stdout.decode().strip()) == (0, Digest.of(IMAGE))
    got = subprocess.run([*program, "get", "a:b"], capture_output=True)
    assert (got.returncode, got.stdout) == (0, IMAGE)


@on_each_store
def test_put_says_all_that_is_missing(run: Run, files: None) -> None:
    ran = run("put", "library/hello:latest", "other.json")
    assert ran.code == 1
    for content in (CONFIG, b"layer"):
        assert Digest.of(content) in ran.err
    assert run("get", "library/hello:latest").code == 1


def test_options_stand_before_or_after_the_command(
    run: Run, files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REVSTORE_STORE")
    assert run("--store", "file:one", "put", "--no-check-layers", "a:b", "image.json").code == 0
    assert run("ls", "--store", "file:one", "--json").value == ["a"]
    assert run("--json", "--store", "file:one", "ls").value == ["a"]
    assert run("--store", "file:two", "ls", "--store", "file:one").text == "a\n"
    assert run("--store", "file:two", "ls").out == b""
    monkeypatch.setenv("REVSTORE_STORE", "file:one")
    assert run("ls").text == "a\n"
    assert run("--store", "file:two", "ls").out == b""


def test_usage_and_failures_are_2(
    run: Run, files: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for arguments in (
        ["no-such-command"],
        ["put", "library/hello"],
        ["put", "Library/Hello:latest", "image.json"],
        ["put", "library/hello@" + Digest.of(IMAGE), "image.json"],
        ["put", "library/hello:latest", "no-such-file"],
        ["put", "library/hello:latest", "."],
        ["get", "library/hello"],
        ["get", "library/hello:.."],
        ["get", "library/hello@sha256:123"],
        ["tags", "library/hello", "--limit", "0"],
        ["tags", "library/hello", "--last", "a/b"],
        ["tag", "library/hello", "latest", "new", "--expect", "nonsense"],
        ["restore", "library/hello:latest", "--at", "yesterday"],
        ["history", "library/hello@" + Digest.of(IMAGE)],
        ["history", "library/hello:latest", "--limit", "0"],
        ["history", "library/hello:latest", "--until", "yesterday"],
        ["verify", "no-such-file-and-no/Reference"],
        ["verify", "library/hello"],
        ["verify", "image.json", "--trust", "no-such-key"],
        ["sign", "image.json", "--key", "image.json"],
        ["sign", "image.json"],
        ["key", "show", "image.json"],
        ["--store", "no-such-scheme://x", "ls"],
        ["--store", "folder", "ls"],
        ["--store", "file://[bad", "ls"],
    ):
        ran = run(*arguments)
        assert ran.code == 2, (arguments, ran)
        assert ran.err
        assert ran.out == b""
    (tmp_path / "broken.json").write_bytes(b"{")
    assert run("put", "library/hello:latest", "broken.json").code == 2
    monkeypatch.delenv("REVSTORE_STORE")
    ran = run("ls")
    assert ran.code == 2
    assert "REVSTORE_STORE" in ran.err


@on_each_store
def test_what_is_not_there_is_1(run: Run) -> None:
    for arguments in (
        ["get", "library/hello:latest"],
        ["get", f"library/hello@{Digest.of(IMAGE)}"],
        ["verify", "library/hello:latest"],
        ["tags", "library/hello"],
        ["tag", "library/hello", "latest", "new"],
        ["tag", "library/hello", Digest.of(IMAGE), "new"],
        ["history", "library/hello:latest"],
        ["restore", "library/hello:latest", "--at", "2026-01-01"],
        ["rm", "library/hello:latest"],
        ["rm", f"library/hello@{Digest.of(IMAGE)}"],
    ):
        ran = run(*arguments)
        assert (ran.code, ran.out) == (1, b""), arguments
        assert ran.err.startswith("revstore: ")


def test_tags_and_their_history(run: Run, files: None) -> None:
    a, b = put(run, "hello:latest", "image.json"), put(run, "hello:v1", "other.json")
    assert run("tags", "hello").text == "latest\nv1\n"
    assert run("tags", "hello", "--limit", "1").text == "latest\n"
    assert run("tags", "hello", "--last", "latest").text == "v1\n"
    assert [each["tag"] for each in run("tags", "hello", "--json").value] == ["latest", "v1"]

    assert run("tag", "hello", "v1", "latest").text.strip() == b
    assert run("tag", "hello", a, "latest", "--json").value == {
        "repository": "hello",
        "tag": "latest",
        "digest": a,
    }
    assert run("tag", "hello", "hello:v1", "latest", "--expect", a).code == 0
    assert run("tag", "hello", f"hello@{a}", "latest", "--expect", a).code == 1
    assert run("tag", "hello", "v1", "new", "--expect", "absent").code == 0
    assert run("tag", "hello", "v1", "new", "--expect", "absent").code == 1

    events = run("history", "hello:latest", "--json").value
    assert [event["digest"] for event in events] == [b, a, b, a]
    lines = run("history", "hello:latest").text.splitlines()
    assert lines == [f"{event['since']}  {event['digest']}" for event in events]
    first = run("history", "hello:latest", "--limit", "3")
    assert first.text.splitlines() == lines[:3]
    assert "older" in first.err
    until = run("history", "hello:latest", "--until", events[1]["since"])
    assert (until.text.splitlines(), until.err) == (lines[1:], "")
    assert run("history", "hello:latest", "--until", "2020-01-01").code == 1
    assert run("restore", "hello:latest", "--at", events[3]["since"]).text.strip() == a
    assert run("get", "hello:latest").out == IMAGE

    assert run("rm", "hello:latest").code == 0
    assert run("get", "hello:latest").code == 1
    assert run("history", "hello:latest").text.splitlines()[0].endswith("  deleted")
    assert run("rm", f"hello@{b}", "--json").value == {"deleted": f"hello@{b}"}
    assert run("tags", "hello").out == b""


@on_each_store
def test_ls(run: Run, files: None) -> None:
    assert run("ls").out == b""
    for name in ("b", "a/c", "a"):
        put(run, f"{name}:latest", "image.json")
    assert run("ls").text == "a\na/c\nb\n"
    assert run("ls", "--json").value == ["a", "a/c", "b"]


@on_each_store
def test_doctor(run: Run):
    ran = run("doctor")
    assert ran.code == 0
    assert "one winner of 50" in ran.text
    report = run("doctor", "--json").value
    assert report["healthy"] is True
    assert report["capabilities"]["conditional_put"] is True
    assert run("ls").out == b""


# ---- signatures


def test_sign_verify_merge(run: Run, files: None, key: SigningKey, tmp_path: Path) -> None:
    signed = run("sign", "--key", "key.pem", "payload.json")
    assert signed.code == 0
    assert verify_document(signed.out).payload == PAYLOAD
    (tmp_path / "one.json").write_bytes(signed.out)
    other = SigningKey.generate("P-384")
    (tmp_path / "two.json").write_bytes(serialise(PAYLOAD, [sign(PAYLOAD, other)]))

    merged = run("merge", "one.json", "two.json")
    assert merged.code == 0
    assert merged.out == run("merge", "two.json", "one.json", "two.json").out
    (tmp_path / "merged.json").write_bytes(merged.out)

    ran = run("verify", "merged.json", "--trust", "public.pem")
    report = json.loads(ran.out)
    assert ran.code == 0
    assert report["digest"] == Digest.of(PAYLOAD)
    assert report["media_type"] == "application/vnd.docker.distribution.manifest.v1+prettyjws"
    found = {each["kid"]: each for each in report["signatures"]}
    assert (found[key.kid]["alg"], found[key.kid]["trusted"]) == ("ES256", True)
    assert (found[other.kid]["alg"], found[other.kid]["trusted"]) == ("ES384", False)
    assert all(each["time"] for each in found.values())
    assert run("verify", "merged.json", "--json").value["signatures"][0]["trusted"] is None

    for trusted in (["public.jwk"], ["key.pem"], ["key.jwk"], [key.kid]):
        assert run("verify", "merged.json", "--trust", *trusted).code == 0
        assert run("verify", "two.json", "--trust", *trusted).code == 1
    assert run("verify", "two.json", "--trust", key.kid, "--trust", other.kid).code == 0

    more = run("sign", "--key", "key.jwk", "two.json")
    assert len(verify_document(more.out).signatures) == 2


def test_verify_says_no(run: Run, files: None, key: SigningKey, tmp_path: Path) -> None:
    document = serialise(PAYLOAD, [sign(PAYLOAD, key)])
    for name, content in {
        "unsigned": PAYLOAD,
        "forged": document.replace(b"amd64", b"arm64"),
        "empty": b"",
        "not json": b"hello",
        "no signature": document.replace(b'"signature":', b'"sig":'),
    }.items():
        (tmp_path / "document").write_bytes(content)
        ran = run("verify", "document")
        assert ran.code == 1, name
        report = json.loads(ran.out)
        assert set(report) == {"digest", "media_type", "signatures", "errors"}
        assert bool(report["errors"]) == (name != "unsigned")
        assert run("merge", "document").code in {1, 2}


@on_each_store
def test_a_stored_manifest_is_signed_and_verified(run: Run, files: None, key: SigningKey) -> None:
    digest = put(run, "library/hello:latest", "payload.json")
    assert run("verify", "library/hello:latest").code == 1
    assert run("sign", "--key", "key.pem", "library/hello:latest").text.strip() == digest
    ran = run("verify", f"library/hello@{digest}", "--trust", "public.pem")
    assert ran.code == 0
    assert [each["trusted"] for each in json.loads(ran.out)["signatures"]] == [True]
    assert verify_document(run("get", "library/hello:latest").out).payload == PAYLOAD

    put(run, "library/hello:image", "image.json")
    described = run("sign", "--json", "--key", "key.pem", "library/hello:image").value
    assert (described["digest"], described["kid"]) == (Digest.of(IMAGE), key.kid)
    assert run("get", "library/hello:image").out == IMAGE
    assert run("verify", "library/hello:image").code == 0


def test_keys(run: Run, tmp_path: Path) -> None:
    for kind in ("P-256", "P-384", "P-521", "RSA"):
        name = f"{kind}.pem"
        made = run("key", "new", name, "--kind", kind)
        assert made.code == 0
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        shown = run("key", "show", name, "--json").value
        assert shown["kid"] == made.text.strip()
        assert "d" not in shown["jwk"]
        assert "PRIVATE" not in run("key", "show", name).text
    assert run("key", "new", "RSA.pem").code == 2, "a key is never written over another"
    printed = run("key", "new")
    assert SigningKey.from_pem(printed.out).algorithm == "ES256"
    described = run("key", "--json", "new").value
    assert SigningKey.from_pem(described["pem"].encode()).kid == described["kid"]


def test_a_signature_that_stands_only_alone_is_verified_alone(run: Run, files: None, tmp_path: Path) -> None:
    alone = serialise(PAYLOAD, [without_key_id(sign(PAYLOAD, chained_key("ec256")))])
    (tmp_path / "alone.json").write_bytes(alone)
    put(run, "library/hello:latest", "alone.json")
    (tmp_path / "other.json").write_bytes(serialise(PAYLOAD, [sign(PAYLOAD, SigningKey.generate())]))
    put(run, "library/hello:latest", "other.json")
    ran = run("verify", "library/hello:latest", "--json")
    assert (ran.code, ran.value["errors"], len(ran.value["signatures"])) == (0, [], 2)


def test_a_reader_that_leaves_is_a_failure_not_an_answer(tmp_path: Path) -> None:
    store = (tmp_path / "s").as_uri()
    program = f"{sys.executable} -m revstore_async.cli --store {store}"
    many = " ".join(f"repository-{number}" for number in range(50))
    script = (
        f"for r in {many}; do echo; done; {program} --help | (exec 0<&-; sleep 1); exit ${{PIPESTATUS[0]}}"
    )
    assert subprocess.run(["bash", "-c", script], capture_output=True).returncode in {0, 2}


def test_a_repository_named_like_an_algorithm(run: Run, files: None) -> None:
    digest = put(run, "sha256:one", "image.json")
    assert run("tag", "sha256", digest, "two").text.strip() == digest
    assert run("tag", "sha256", "sha256:two", "three").text.strip() == digest
    assert run("verify", f"{'a' * 250}@{digest}").code == 1


def test_an_index_needs_its_manifests(run: Run, files: None, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(index(IMAGE))
    assert run("put", "hello:all", "index.json").code == 1
    put(run, "hello", "image.json")
    assert run("put", "hello:all", "index.json").code == 0


def test_without_its_packages_the_command_names_the_extra() -> None:
    code = "import sys; sys.modules['click'] = None; from revstore_async.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "revstore-async[cli]" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ls", "--no-such-option"], 2),
        (["--store", "no-such-scheme://x", "ls"], 2),
        (["--store", "memory:", "get", "library/hello:latest"], 1),
    ],
)
def test_a_command_ends_though_nobody_reads_its_last_words(arguments: list[str], code: int) -> None:
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        for size in (1000, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x" * size)
        os.set_blocking(writer, True)
        command = [sys.executable, "-m", "revstore_async.cli", *arguments]
        assert subprocess.run(command, stderr=writer, timeout=30, check=False).returncode == code
    finally:
        os.close(reader)
        os.close(writer)


def test_a_defect_is_told_whole_to_a_reader_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ZeroDivisionError("x" * 200_000)

    monkeypatch.setattr(click.Command, "main", defect)
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe, ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read)
        with os.fdopen(writer, "w") as errors:
            monkeypatch.setattr(sys, "stderr", errors)
            assert exit_code(click.Command("x"), []) == 2
        assert "x" * 200_000 in read.result()
