"""Each reader of strangers' bytes takes work in proportion to them, in shapes that are made to tire it.

A new reader of such bytes gets a row in one of the tables.
"""

import asyncio
import base64
from collections.abc import Callable
from functools import partial

import pytest
from botocore.parsers import ResponseParserError
from opentelemetry import propagate
from prometheus_client.exposition import choose_encoder
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from revstore_async import Digest, RepositoryName, Tag
from revstore_async.driver import check_key
from revstore_async.errors import InvalidArgument
from revstore_async.formats.descriptors import DOCKER_SCHEMA1_SIGNED, OCI_MANIFEST, check_media_type
from revstore_async.formats.lenient_manifests import listed_manifests, read_stored
from revstore_async.formats.manifests import read_manifest
from revstore_async.formats.names import Reference
from revstore_async.formats.strictjson import VALUE_LIMIT, JSONObject, loads, members
from revstore_async.layout import CURRENT
from revstore_async.manifests.incoming import take_apart
from revstore_async.server import routes
from revstore_async.server.access.credentials import user_and_password
from revstore_async.server.access.htpasswd import Users
from revstore_async.server.access.key_sets import KeySet
from revstore_async.server.access.origins import check_page
from revstore_async.server.app import _check_host
from revstore_async.server.handlers.conditions import Conditions
from revstore_async.server.handlers.history import _TIME
from revstore_async.server.handlers.ranges import parse_chunk, parse_range
from revstore_async.server.observing.observed import request_id
from revstore_async.server.observing.tracing import _carrier
from revstore_async.signatures import PublicKey, Signature, parse, parse_signatures
from revstore_async.signatures.document import Split
from revstore_async.signatures.encoding import from_base64, from_base64url, to_base64url
from revstore_async.signatures.entry import _read_protected, _read_time
from revstore_async.uploads.state import State
from revstore_drivers.buckets.key_order import position_after
from revstore_drivers.s3.wire.answers import listing_of
from revstore_drivers.s3.wire.times import parse_time
from tests.parts.tokens import forged, policy, who
from tests.parts.work import BEARABLE, Shape, Work, growth

LARGE, SMALL = 1 << 18, 1 << 16  # bytes: of documents, and of what stands in the head of a request


def repeated(unit: bytes, before: bytes = b"", after: bytes = b"") -> Shape:
    """Make a shape of one unit, again and again."""
    return lambda size: before + unit * (size // len(unit)) + after


def numbered(unit: bytes, before: bytes = b"", after: bytes = b"") -> Shape:
    """Make a shape of units that differ by a number."""
    return lambda size: before + b",".join(unit % each for each in range(size // (len(unit) + 4))) + after


# ---- JSON

JSON_SHAPES: dict[str, Shape] = {
    "a string without end": repeated(b"x", b'{"a":"'),
    "a string of escaped quotes without end": repeated(b'\\"', b'{"a":"'),
    "the same after many arrays": repeated(b'\\"', b'{"b":[' + b"[]," * 200 + b'1],"a":"'),
    "the same after many commas": repeated(b'\\"', b'["' + b"," * VALUE_LIMIT + b'","'),
    "a string of backslashes without end": repeated(b"\\", b'{"a":"'),
    "an odd backslash at the end": repeated(b"\\\\", b'{"a":"', b"\\"),
    "escapes cut off": repeated(b"\\u004", b'{"a":"', b'"}'),
    "escaped quotes": repeated(b'\\"', b'{"a":"', b'"}'),
    "escapes": repeated(b"\\u0041", b'{"a":"', b'"}'),
    "pairs of surrogates": repeated(b"\\ud83d\\ude00", b'{"a":"', b'"}'),
    "high surrogates": repeated(b"\\ud83d", b'{"a":"', b'"}'),
    "a lone surrogate at the end": repeated(b"\\n", b'{"a":"', b'\\udc00"}'),
    "strings and nothing between": repeated(b'""'),
    "quotes of an odd number": repeated(b'""', b'"'),
    "a name without end": repeated(b"x", b'{"'),
    "a long name": repeated(b"x", b'{"', b'":1}'),
    "a long name twice": lambda size: b'{"%b":1,"%b":2}' % ((b"x" * (size // 2),) * 2),
    "arrays without end": repeated(b"["),
    "objects without end": repeated(b'{"a":'),
    "arrays closed": repeated(b"]", b"{"),
    "arrays in a string": repeated(b"[", b'{"a":"'),
    "deep arrays in a row": repeated(b"[" * 100 + b"]" * 100 + b",", b'{"a":[', b"1]}"),
    "empty arrays": repeated(b"[],", b'{"a":[', b"1]}"),
    "empty objects": repeated(b"{},", b'{"a":[', b"1]}"),
    "names twice in each object": repeated(b'{"a":1,"a":1},', b'{"a":[', b"1]}"),
    "a name twice, at the end": numbered(b'"%d":1', b"{", b',"0":1}'),
    "members": numbered(b'"%d":1', b"{", b"}"),
    "members of members": numbered(b'"%d":{"a":{}}', b"{", b"}"),
    "digits": repeated(b"9", b'{"a":', b"}"),
    "digits below zero": repeated(b"9", b'{"a":-', b"}"),
    "digits after the point": repeated(b"9", b'{"a":0.', b"}"),
    "zeros after the point": repeated(b"0", b'{"a":0.', b"1}"),
    "digits of an exponent": repeated(b"9", b'{"a":1e', b"}"),
    "digits of an exponent below zero": repeated(b"9", b'{"a":1e-', b"}"),
    "zeros of an exponent": repeated(b"0", b'{"a":1e', b"1}"),
    "numbers of many digits": repeated(b"9" * 300 + b",", b'{"a":[', b"1]}"),
    "numbers beyond a double, at the end": repeated(b"1e9,", b'{"a":[', b"1e999]}"),
    "a constant at the end": repeated(b"1,", b'{"a":[', b"NaN]}"),
    "commas": repeated(b",", b'{"a":['),
    "colons": repeated(b":", b'{"a":'),
    "spaces": repeated(b" ", b"{", b"}"),
    "spaces and then nothing": repeated(b" ", b'{"a":1'),
    "line feeds": repeated(b"\n", b"{", b'"a":1}'),
    "text of four bytes a character": repeated("\U0001f600".encode(), b'{"a":"', b'"}'),
    "bytes of no character at the end": repeated(b"x", b'{"a":"', b'\xff"}'),
    "a null for each layer": repeated(b"null,", b'{"schemaVersion":2,"layers":[', b"null]}"),
    "annotations": numbered(b'"%d":"x"', b'{"schemaVersion":2,"annotations":{', b"}}"),
    "layers": numbered(b'{"digest":"%d"}', b'{"schemaVersion":2,"config":{},"layers":[', b"]}"),
    "manifests": numbered(b'{"digest":"sha256:%064d"}', b'{"schemaVersion":2,"manifests":[', b"]}"),
    "blobs of schema 1": numbered(b'{"blobSum":"%d"}', b'{"schemaVersion":1,"fsLayers":[', b"]}"),
    "signatures": repeated(b"{},", b'{"a":1,"signatures":[', b"{}]}"),
    "a protected of a long string": lambda size: (
        b'{"a":1,"signatures":[{"header":{},"signature":"","protected":"%b"}]}' % (b"e" * size)
    ),
    "keys": numbered(b'{"kty":"EC","kid":"%d"}', b'{"keys":[', b"]}"),
    "a long modulus": repeated(b"A", b'{"kty":"RSA","e":"AQAB","n":"', b'"}'),
    "a set of a long modulus": repeated(b"_", b'{"keys":[{"kty":"RSA","e":"AQAB","n":"', b'"}]}'),
}


POLICY = policy()


def accepted_members(content: bytes) -> object:
    loads(content)
    return members(content)


def in_protected(content: bytes) -> object:
    return _read_protected(to_base64url(content), "protected")


def jwk_in_entry(content: bytes) -> object:
    entry: JSONObject = {"header": {"alg": "RS256", "jwk": loads(content)}, "signature": "", "protected": ""}
    return Signature.from_members(entry, "")


JSON_READERS: dict[str, Work] = {
    "strict JSON": loads,
    "members": accepted_members,
    "a manifest": partial(read_manifest, media_type=OCI_MANIFEST),
    "a manifest without a type": read_manifest,
    "a push": lambda content: take_apart(content, None, RepositoryName("a"), (Tag("b"),), None),
    "a signed push": lambda content: take_apart(
        content, DOCKER_SCHEMA1_SIGNED, RepositoryName("a"), (Tag("b"),), None
    ),
    "a stored manifest": read_stored,
    "a stored index": listed_manifests,
    "a signed document": parse,
    "what is signed": Split.of,
    "a list of signatures": parse_signatures,
    "a signature": Signature.from_blob,
    "a jwk in a signature": jwk_in_entry,
    "what a signature protects": in_protected,
    "a public key": PublicKey.from_jwk,
    "the header of a token": lambda content: asyncio.run(who(forged(content), POLICY)),
    "the keys of an issuer": partial(KeySet.read, "the issuer"),
    "the state of an upload": State.decode,
}


@pytest.mark.parametrize("reader", JSON_READERS.values(), ids=JSON_READERS)
def test_json(reader: Work) -> None:
    assert found(reader, JSON_SHAPES, LARGE) == {}


# ---- text: names, headers, paths, lines

UNITS = (
    *(b"a", b"0", b"9", b"-", b"_", b"__", b".", b"/", b"a/", b"a-", b"a_", b"a.", b"-_", b"a" * 64 + b"/"),
    *(b" ", b"\t", b"\n", b",", b", ", b";", b":", b"=", b"+", b"%", b"%2f", b"*", b"&", b"a=b&", b"?", b"#"),
    *(b'"', b'""', b'"",', b'\\"', b"\\", b'W/"",', b"W/", b"'", b"<", b">", b"&amp;", b"\xc3\xa9"),
    *(b"0-1,", b"0-,", b"-1,", b"-", b"bytes=", b"Basic ", b"Bearer ", b"a:b\n", b"a:$2y$05$\n", b"#\n"),
    *(
        b"sha256:",
        b"sha256/",
        b"tarsum+",
        b"tarsum.",
        b"/manifests/",
        b"/blobs/uploads/",
        b"/blobs/",
        b"/v2/",
    ),
    *(b"/tags/list", b"/_manifests/revisions/sha256/00", b"/_manifests/tags/a", b"/_tags/a", b"/_uploads/a"),
    *(b"/_layers/sha256/0", b"/signatures/sha256/0", b"/index/sha256/0", b"2026-", b"00:", b"T00", b"+00:00"),
)
ENDS = (
    *(
        (b"", b""),
        (b"", b"!"),
        (b"", b"\n"),
        (b"", b"="),
        (b"sha256:", b"g"),
        (b"tarsum.", b""),
        (b"a/", b"/"),
    ),
    *(
        (b"/v2/", b"/manifests/a"),
        (b"/v2/", b"/blobs/uploads"),
        (b"/v2/", b"/x"),
        (b"bytes=", b""),
        (b"0-", b""),
    ),
    *((b"bytes 0-1/", b""), (b'"', b'"'), (b'"', b""), (b'W/"', b""), (b'"a"', b'"'), (b"Basic ", b"\x7f")),
    *((b"Bearer ", b""), (b"Bearer a", b"=!"), (b"a:", b""), (b"docker/registry/v2/repositories/", b"/link")),
    *((b"docker/registry/v2/repositories/", b"/data"), (b"docker/registry/revstore/history/", b"/deleted")),
    *(
        (b"docker/registry/revstore/uploads/", b"/state"),
        (b"2026-01-01T00:00:00.", b"Z"),
        (b"Mon, ", b" GMT"),
    ),
)
TEXT_SHAPES: dict[str, Shape] = {
    f"{before!r} {unit!r}... {after!r}": repeated(unit, before, after)
    for unit in UNITS
    for before, after in ENDS
}


def headers(name: bytes, content: bytes) -> Headers:
    return Headers(raw=[(name, content)])


def authorization(content: bytes) -> object:
    connection = HTTPConnection({"type": "http", "headers": [(b"authorization", content)]})
    return asyncio.run(POLICY.authenticate(connection))


def text(read: Callable[[str], object]) -> Work:
    return lambda content: read(content.decode("latin-1"))


TEXT_READERS: dict[str, Work] = {
    "a repository's name": text(RepositoryName),
    "a tag": text(Tag),
    "a digest": text(Digest),
    "a reference": text(Reference.parse),
    "a media type": text(check_media_type),
    "a key": text(check_key),
    "the place of a key": text(CURRENT.parse),
    "a position in a listing": text(position_after),
    "a path": text(partial(routes.find, "GET")),
    "slashes of a path": text(routes.canonical),
    "If-Match": lambda content: Conditions.of(headers(b"if-match", content)),
    "If-None-Match of a read": lambda content: Conditions.of(
        headers(b"if-none-match", content), reading=True
    ),
    "Range": text(parse_range),
    "Content-Range": text(parse_chunk),
    "Authorization": authorization,
    "Basic credentials": lambda content: user_and_password(base64.b64encode(content).decode(), "Basic"),
    "base64 of credentials": text(lambda each: user_and_password(each, "Basic")),
    "X-Request-ID": lambda content: request_id({"headers": [(b"x-request-id", content)]}),
    "Host": lambda content: _check_host({"headers": [(b"host", content)]}, content.decode("latin-1")),
    "Origin": lambda content: check_page({"origin": content.decode("latin-1")}, ()),
    "a time in a query": text(_TIME.fullmatch),
    "a time of a signature": text(lambda each: _read_time(each, "time")),
    "base64url": text(lambda each: from_base64url(each, "x")),
    "base64": text(lambda each: from_base64(each, "x")),
    "a query": text(QueryParams),
    "Accept of metrics": text(choose_encoder),
    "a caller's span": lambda content: propagate.extract(
        _carrier({"headers": [(b"traceparent", b"00-%032d-%016d-01" % (1, 1)), (b"tracestate", content)]})
    ),
    "a caller's baggage": lambda content: propagate.extract(_carrier({"headers": [(b"baggage", content)]})),
    "a file of passwords": partial(Users.read, "passwords"),
}


@pytest.mark.parametrize("reader", TEXT_READERS.values(), ids=TEXT_READERS)
def test_text(reader: Work) -> None:
    assert found(reader, TEXT_SHAPES, SMALL) == {}


# ---- what a store answers

_ENTRY = b"<Contents><Key>a%d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
XML_SHAPES: dict[str, Shape] = {
    "entries": lambda size: (
        b"<ListBucketResult>%b</ListBucketResult>"
        % b"".join(_ENTRY % each for each in range(size // len(_ENTRY)))
    ),
    "elements without end": repeated(b"<a>"),
    "an element without end": repeated(b"a", b"<"),
    "an attribute without end": repeated(b"a", b'<ListBucketResult a="'),
    "attributes": lambda size: b"<a %b/>" % b" ".join(b'a%d=""' % each for each in range(size // 8)),
    "a comment without end": repeated(b"-a", b"<!--"),
    "digits of a size": repeated(
        b"9", b"<ListBucketResult><Contents><Size>", b"</Size></Contents></ListBucketResult>"
    ),
    "escapes": repeated(b"&amp;", b"<ListBucketResult>", b"</ListBucketResult>"),
    "escapes in a key": repeated(
        b"%2f",
        b"<ListBucketResult><EncodingType>url</EncodingType><CommonPrefixes><Prefix>",
        b"</Prefix></CommonPrefixes></ListBucketResult>",
    ),
}


def listing(content: bytes) -> object:
    try:
        return listing_of(content)
    except ResponseParserError as error:
        raise InvalidArgument("content", b"", str(error)) from error


def test_listings_of_a_store() -> None:
    assert found(listing, XML_SHAPES, LARGE) == {}


def test_times_of_a_store() -> None:
    assert found(text(parse_time), TEXT_SHAPES, SMALL) == {}


def found(reader: Work, shapes: dict[str, Shape], largest: int) -> dict[str, float]:
    """Return how work grew that grew faster than its input."""
    grown = ((name, growth(reader, shape, largest)) for name, shape in shapes.items())
    return {name: ratio for name, ratio in grown if ratio > BEARABLE}
