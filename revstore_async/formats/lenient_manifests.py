"""Reads stored manifests without judging them: the server serves a stored manifest as it is.

Another program may have stored it, by rules of its own. `manifests.read_manifest` judges manifests that clients
push.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InvalidDigest, InvalidManifest
from . import strictjson
from .descriptors import DOCKER_SCHEMA1, IMAGES, canonical, check_media_type, is_schema1_type
from .digest import Digest
from .manifests import is_schema1, type_by_form


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A stored manifest, read as far as it can be.

    Attributes:
        media_type: Its type; None if neither the document nor its form tells one.
        declared: Whether the type stands in the document, or follows from the form of schema 1. If False, a
            type that was kept beside the manifest's link counts more than this one.
        subject: The digest of the manifest that it is about, if any.
        artifact_type: Its `artifactType`; for an image manifest without one, the media type of its config.
        annotations: Those of its annotations that are text.
    """

    media_type: str | None = None
    declared: bool = False
    subject: Digest | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class StoredKind:
    """Facts about a stored manifest that was read once; they never change.

    Attributes:
        media_type: As `StoredDocument.media_type`.
        declared: As `StoredDocument.declared`.
        size: Its bytes, without signatures.
        schema1: Whether it is Docker schema 1, which the server serves with its signatures.
    """

    media_type: str | None
    declared: bool
    size: int
    schema1: bool


def read_stored(content: bytes) -> StoredDocument:
    """Read a stored manifest; it raises nothing, and leaves out invalid members.

    The result is empty for a document that nests deeper, or holds more values, than `strictjson` takes.
    """
    members = _members(content)
    if members is None:
        return StoredDocument()
    media_type, declared = _media_type(members)
    artifact_type = _text(members, "artifactType")
    if not artifact_type and media_type is not None and canonical(media_type) in IMAGES:
        artifact_type = _text(_object(members, "config"), "mediaType")
    return StoredDocument(
        media_type=media_type,
        declared=declared,
        subject=_digest(_object(members, "subject")),
        artifact_type=artifact_type or None,
        annotations={
            name: value for name, value in _object(members, "annotations").items() if isinstance(value, str)
        },
    )


def media_type_of(content: bytes) -> tuple[str | None, bool]:
    """Return a stored manifest's media type, and whether it is declared; see `StoredDocument`."""
    members = _members(content)
    return (None, False) if members is None else _media_type(members)


def kind_of(content: bytes) -> StoredKind:
    """Return the facts about a stored manifest that never change."""
    members = _members(content)
    media_type, declared = (None, False) if members is None else _media_type(members)
    return StoredKind(media_type, declared, len(content), is_schema1_type(media_type))


def listed_manifests(content: bytes) -> tuple[Digest, ...]:
    """Return the digests of the manifests that a stored index lists, each once, in its order."""
    listed = (_members(content) or {}).get("manifests")
    if not isinstance(listed, list):
        return ()
    digests = (_digest(each) for each in listed if isinstance(each, dict))
    return tuple(dict.fromkeys(digest for digest in digests if digest is not None))


def _members(content: bytes) -> Mapping[str, object] | None:
    try:
        strictjson.check_size(content)  # only another program stores such a document, so it gets no memory
        members = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _media_type(members: Mapping[str, object]) -> tuple[str | None, bool]:
    if is_schema1(members):
        return DOCKER_SCHEMA1, True
    own = _text(members, "mediaType")
    if own is not None:
        try:
            return check_media_type(own), True
        except InvalidManifest:  # text that is no media type tells nothing
            pass
    return type_by_form(members), False


def _object(members: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None


def _digest(descriptor: Mapping[str, object]) -> Digest | None:
    try:
        return Digest(_text(descriptor, "digest") or "")
    except InvalidDigest:
        return None
