"""The signatures of the S3 driver's own requests, held against botocore's."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from revstore_drivers.s3.wire import sigv4
from revstore_drivers.s3.wire.sigv4 import Signer, Term, encoded_path, encoded_query


def whose(secret: str, token: str | None = None) -> Any:
    return ReadOnlyCredentials("somebody", secret, token)


VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["range", "if-match", "if-none-match", "content-md5", "x-amz-meta-mark"]), VALUES
)
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    path=ANY,
    query=st.dictionaries(ANY, ANY, max_size=4),
    headers=HEADERS,
    token=st.none() | VALUES,
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    when=st.integers(946_684_800, 4_102_444_800),
)
def test_a_signature_is_that_of_botocore(method, path, query, headers, token, region, when):
    credentials = whose("secret", token)
    where, line = "/" + encoded_path(path), encoded_query(query)
    theirs = AWSRequest(method, f"http://server:9000{where}{'?' * bool(line)}{line}", headers={**headers})
    theirs.context["client_config"] = SimpleNamespace(s3={"payload_signing_enabled": False})
    ours = {**headers, "host": "server:9000"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(when, UTC))
        patch.setattr(sigv4.time, "time", lambda: when)
        S3SigV4Auth(credentials, "s3", region).add_auth(theirs)
        Signer(region).sign(credentials, method, where, line, ours)
    assert ours["authorization"] == theirs.headers["Authorization"]


@given(
    method=st.sampled_from(["POST", "DELETE"]),
    path=ANY,
    query=st.dictionaries(st.sampled_from(["delete", "versionId", "zone"]), ANY, max_size=3),
    headers=HEADERS,
    token=st.none() | VALUES,
    when=st.integers(946_684_800, 4_102_444_800),
    seconds=st.integers(1, 604_800),
)
def test_a_signature_in_the_query_is_that_of_botocore(method, path, query, headers, token, when, seconds):
    credentials, begin = whose("secret", token), datetime.fromtimestamp(when, UTC)
    where, line = "/" + encoded_path(path), encoded_query(query)
    theirs = AWSRequest(method, f"http://server:9000{where}{'?' * bool(line)}{line}", headers={**headers})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: begin)
        S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=seconds).add_auth(theirs)
    ours = Signer("us-east-1").query(
        credentials, method, where, query, {**headers, "host": "server:9000"}, Term(begin, seconds)
    )
    pairs = {**parse_qs(urlsplit(theirs.url).query, keep_blank_values=True, strict_parsing=True)}
    assert parse_qs(ours, keep_blank_values=True, strict_parsing=True) == pairs


NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "begin", "seconds"),
    [
        (timedelta(seconds=90), NOON, 90),
        (timedelta(seconds=90.9), NOON, 90),
        (timedelta(seconds=1), NOON, 1),
        (timedelta(seconds=0.9), NOON - timedelta(seconds=1), 1),
        (-timedelta(hours=1), NOON - timedelta(hours=1, seconds=1), 1),
        (timedelta(days=8), NOON, 7 * 86_400),
    ],
)
def test_a_term_is_over_at_the_end_or_before(ahead: timedelta, begin: datetime, seconds: int):
    term = Term.until((NOON + ahead).astimezone(timezone(timedelta(hours=3))), NOON)
    assert term == Term(begin, seconds)
    assert term.begin + timedelta(seconds=term.seconds) <= NOON + ahead


def test_a_signer_keeps_no_key_for_another_day_or_secret(monkeypatch):
    signer, found = Signer("us-east-1"), []
    for secret, time in [("one", 0), ("two", 0), ("two", 86_400), ("one", 0)]:
        monkeypatch.setattr(sigv4.time, "time", lambda time=time: time)
        for each in (signer, Signer("us-east-1")):
            headers = {"host": "server"}
            each.sign(whose(secret), "GET", "/", "", headers)
            found.append(headers["authorization"])
    assert found[::2] == found[1::2]
    assert len({*found}) == 3


def test_a_signer_shows_no_secret():
    signer = Signer("us-east-1")
    signer.sign(whose("hidden"), "GET", "/", "", {"host": "server"})
    assert "hidden" not in repr(signer)
