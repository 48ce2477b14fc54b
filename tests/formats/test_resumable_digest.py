"""Digests that another process, or another program, goes on with."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async.errors import InvalidDigest
from revstore_async.formats import resumable_digest
from revstore_async.formats.resumable_digest import ResumableDigest
from tests.parts.programs import missing, program

ALGORITHMS = ["sha256", "sha384", "sha512"]

GO = """
package main

import ("bufio"; "crypto/sha256"; "crypto/sha512"; "encoding"; "encoding/hex"; "encoding/json"; "hash"; "os")

type message struct { Algorithm string; State, More []byte; Digest string }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var asked message
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil { panic(err) }
		h := map[string]func() hash.Hash{
			"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}[asked.Algorithm]()
		if len(asked.State) > 0 {
			if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(asked.State); err != nil { panic(err) }
		}
		h.Write(asked.More)
		state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil { panic(err) }
		json.NewEncoder(os.Stdout).Encode(message{State: state, Digest: hex.EncodeToString(h.Sum(nil))})
	}
}
"""


@pytest.fixture
def no_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python whose OpenSSL lacks the functions."""
    monkeypatch.setattr(resumable_digest, "_functions", lambda _algorithm: None)


def hashed(algorithm: str, *pieces: bytes | bytearray | memoryview) -> ResumableDigest:
    digest = ResumableDigest(algorithm)
    for piece in pieces:
        digest.update(piece)
    return digest


def state_of(digest: ResumableDigest) -> bytes:
    state = digest.state()
    if state is None:
        missing("this Python's OpenSSL lacks SHA256_Init and its sisters")
    return state


def test_a_python_without_openssl_computes_all_the_same() -> None:
    """In a process of its own: the module is loaded once."""
    program = (
        "import sys; sys.modules['_hashlib'] = None\n"
        "from revstore_async.formats.resumable_digest import ResumableDigest\n"
        "digest = ResumableDigest('sha256'); digest.update(b'content')\n"
        "assert digest.state() is None; print(digest.hexdigest())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == hashlib.sha256(b"content").hexdigest(), ran.stderr


@given(st.sampled_from(ALGORITHMS), st.lists(st.binary(max_size=300), max_size=6))
def test_a_digest_that_is_gone_on_with_at_every_piece_is_hashlibs(
    algorithm: str, pieces: list[bytes]
) -> None:
    digest = ResumableDigest(algorithm)
    for piece in pieces:
        resumed = ResumableDigest.from_state(algorithm, state_of(digest))
        assert resumed is not None
        resumed.update(piece)
        digest = resumed
    content = b"".join(pieces)
    assert digest.hexdigest() == hashlib.new(algorithm, content).hexdigest()
    assert digest.hexdigest() == hashlib.new(algorithm, content).hexdigest(), "it can be asked twice"
    assert digest.state() == hashed(algorithm, content).state()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.usefixtures("no_functions")
def test_without_the_functions_a_digest_is_computed_all_the_same(algorithm: str) -> None:
    digest = hashed(algorithm, b"one", memoryview(b"two"), bytearray(b"three"))
    assert digest.hexdigest() == hashlib.new(algorithm, b"onetwothree").hexdigest()
    assert digest.state() is None


def test_without_the_functions_nobodys_state_is_gone_on_with(request: pytest.FixtureRequest) -> None:
    state = state_of(hashed("sha256", b"one"))
    request.getfixturevalue("no_functions")
    assert ResumableDigest.from_state("sha256", state) is None


class _OtherLibrary:
    """A libcrypto whose functions do something else."""

    def __getattr__(self, _name: str):
        def function(*_arguments: object) -> int:
            return 1

        return function


@pytest.mark.parametrize("library", [None, object(), _OtherLibrary()], ids=["none", "lacking", "other"])
def test_a_library_that_is_not_as_expected_is_not_used(
    library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_digest, "_library", lambda: library)
    for algorithm in ALGORITHMS:
        assert resumable_digest._functions.__wrapped__(algorithm) is None


def test_what_is_no_state_of_the_algorithm_is_not_gone_on_with() -> None:
    state = state_of(hashed("sha256", b"one"))
    for other in (b"", state[:-1], state + b"\0", b"sha\x02" + state[4:]):
        assert ResumableDigest.from_state("sha256", other) is None
    longer = state_of(hashed("sha512", b"one"))
    assert ResumableDigest.from_state("sha384", longer) is None, "the two differ in their magic only"


def test_an_algorithm_that_can_not_be_computed() -> None:
    for algorithm in ("md5", "tarsum+sha256"):
        with pytest.raises(InvalidDigest):
            ResumableDigest(algorithm)


def test_go_goes_on_with_ours_and_we_with_gos(tmp_path: Path) -> None:
    """The layout is Go's, so that it is what Docker Distribution keeps in `hashstates`."""
    (tmp_path / "main.go").write_text(GO)
    (tmp_path / "go.mod").write_text("module hashstates\n\ngo 1.20\n")
    binary = tmp_path / "hashstates"
    command = [program("go"), "build", "-buildvcs=false", "-o", str(binary), "."]
    built = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    if built.returncode != 0:
        missing(f"go could not build the program: {built.stderr.strip()}")

    cases = [
        (algorithm, bytes(range(256)) * 2 + b"x" * before, b"y" * after)
        for algorithm in ALGORITHMS
        for before in (0, 1, 55, 63, 64, 111, 127, 128)
        for after in (0, 1, 200)
    ] + [(algorithm, b"", b"first") for algorithm in ALGORITHMS]

    def asked(algorithm: str, state: bytes, more: bytes) -> str:
        question = {
            "Algorithm": algorithm,
            "State": base64.b64encode(state).decode(),
            "More": base64.b64encode(more).decode(),
        }
        return json.dumps(question)

    many = (5 << 30).to_bytes(8, "big")  # bytes that nobody has to hash here: the count is what is tested
    long = [(algorithm, state_of(hashed(algorithm))[:-8] + many) for algorithm in ALGORITHMS]
    ours = [asked(algorithm, state_of(hashed(algorithm, head)), tail) for algorithm, head, tail in cases]
    theirs = [asked(algorithm, b"", head) for algorithm, head, _ in cases]
    ran = subprocess.run(
        [binary],
        input="\n".join([*ours, *theirs, *(asked(*each, b"more") for each in long)]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == 2 * len(cases) + len(long)
    for (algorithm, state), answer in zip(long, answers[2 * len(cases) :], strict=True):
        resumed = ResumableDigest.from_state(algorithm, state)
        assert resumed is not None
        resumed.update(b"more")
        assert resumed.hexdigest() == answer["Digest"]
        assert resumed.state() == base64.b64decode(answer["State"])
    for (algorithm, head, tail), after_ours, of_go in zip(
        cases, answers[: len(cases)], answers[len(cases) : 2 * len(cases)], strict=True
    ):
        expected = hashlib.new(algorithm, head + tail).hexdigest()
        assert after_ours["Digest"] == expected
        assert base64.b64decode(after_ours["State"]) == hashed(algorithm, head + tail).state()
        resumed = ResumableDigest.from_state(algorithm, base64.b64decode(of_go["State"]))
        assert resumed is not None
        resumed.update(tail)
        assert resumed.hexdigest() == expected
