"""Manifests as documents: their media types and references. Bytes in, values out.

Sources: OCI image spec v1.1 (`manifest.md`, `image-index.md`, `descriptor.md`), Docker image manifest version 2,
schema 1 and schema 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Final

from ..arguments import as_bytes, check_type
from ..errors import InvalidDigest, InvalidManifest, ManifestTooLarge, TooManyReferences
from . import strictjson
from .descriptors import (
    DOCKER_SCHEMA1,
    IMAGES,
    INDEXES,
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_LAYER,
    SCHEMA1_TYPES,
    Descriptor,
    canonical,
    check_media_type,
)
from .digest import Digest

REFERENCE_LIMIT: Final = 4096
"""Entries that a manifest's list of layers or manifests may have.

Images have fewer than 128 layers, the limit of overlay file systems. Artifacts with one layer for each file,
and the indexes of referrers that clients keep, have hundreds, some thousands. Each entry costs 2 requests.
"""

_MANIFESTS = IMAGES | SCHEMA1_TYPES | INDEXES
_BLOBS = (  # prefixes of the types of layers and configs; no manifest has such a type
    "application/vnd.oci.image.layer.",
    "application/vnd.oci.image.config.",
    "application/vnd.oci.empty.",
    "application/vnd.docker.image.rootfs.",
    "application/vnd.docker.container.image.",
)
_NON_DISTRIBUTABLE = {  # layers that are fetched from elsewhere: a registry need not have them
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}
_SIZE_LIMIT = (1 << 63) - 1
_FOREIGN_MEMBERS = {  # by these, another reader would take the manifest for one of another kind (CVE-2021-41190)
    **dict.fromkeys(IMAGES, ("manifests", "fsLayers")),
    **dict.fromkeys(INDEXES, ("config", "layers", "fsLayers")),
}
_MEMBERS = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "subject",
    "config",
    "layers",
    "manifests",
    "annotations",
)
_SCHEMA1_MEMBERS = ("name", "tag", "fsLayers", "history", "signatures", "blobSum")
_NAMES = {name.casefold(): name for name in (*_MEMBERS, *_SCHEMA1_MEMBERS, "digest", "size", "urls")}


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """A manifest, read.

    Attributes:
        media_type: Its type.
        declared: Whether the document itself states the type, or is schema 1, whose form tells it.
        apparent: Whether the document alone tells a reader this type: the document declares it, or its form
            tells it.
        name: The repository that a schema 1 manifest names; None in any other.
        tag: The tag that a schema 1 manifest names; None in any other.
        blobs: The blobs that a registry must have for it, each once, in the document's order: config and layers,
            and an index's entries of their types, as BuildKit's cache has them.
        manifests: The manifests that a registry must have for it, each once, in the document's order.
        others: Entries of an index whose type does not tell a blob from a manifest, each once. A registry must
            have each of them as one of the two.
        subject: The manifest that this one is about, if any; it need not exist.
        artifact_type: The type of the artifact, if it is one.
        schema1: Whether it is a Docker schema 1 manifest, to which signatures are merged.
    """

    media_type: str
    declared: bool
    apparent: bool
    name: str | None = None
    tag: str | None = None
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    others: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    schema1: bool = False


def read_manifest(content: bytes | bytearray | memoryview, media_type: str | None = None) -> ManifestDocument:
    """Read a manifest and judge its form; for a signed schema 1 manifest, read its payload.

    Docker schema 1 and 2, the manifest list, the OCI image manifest and index are judged member by member. A
    document of another type only has to be a JSON object; its `artifactType` and `subject` are read.

    Args:
        content: The document.
        media_type: The type that the client sent with it; None to read the type from the document.

    Raises:
        ManifestTooLarge: It has more than 4 MiB.
        InvalidJSON: It is not strict JSON, or not an object (see `revstore_async.formats.strictjson`).
        InvalidManifest: A member is missing or wrong, or the media type is another than the document's own.
        TooManyReferences: A list of layers or manifests has more than `REFERENCE_LIMIT` entries.
        WrongType: An argument is of another type.
    """
    content = content if type(content) is bytes else as_bytes("content", content)
    check_type("media_type", media_type, str, NoneType)
    if len(content) > MANIFEST_LIMIT:
        raise ManifestTooLarge(len(content), MANIFEST_LIMIT)
    members = strictjson.loads_object(content)
    kind, declared = _media_type(
        members, None if media_type is None else media_type.partition(";")[0].strip()
    )
    form = canonical(kind)
    if form in SCHEMA1_TYPES:
        return _schema1(members, form)
    config: tuple[Descriptor, ...] = ()
    entries: tuple[Descriptor, ...] = ()
    if form in _FOREIGN_MEMBERS:
        if _version(members) != 2:
            raise InvalidManifest("schemaVersion", "it is not 2")
        _check_names(members, "")
        for name in _FOREIGN_MEMBERS[form]:
            if members.get(name) is not None:  # null is no member to any reader
                raise InvalidManifest(name, f"it is no member of {kind}")
    if form in IMAGES:
        config = (_descriptor(members.get("config"), "config"),)
        entries = _descriptors(members.get("layers"), "layers")
    elif form in INDEXES:
        entries = _descriptors(members.get("manifests"), "manifests")
    blobs, manifests, others = _sorted(config, entries, image=form in IMAGES)
    subject = members.get("subject")
    return ManifestDocument(
        media_type=kind,
        declared=declared,
        apparent=declared or form == type_by_form(members),
        blobs=_each_once(blobs),
        manifests=_each_once(manifests),
        others=_each_once(others),
        subject=None if subject is None else _descriptor(subject, "subject"),
        artifact_type=_artifact_type(members, config),
    )


def _version(members: Mapping[str, object]) -> int | None:
    """Return the schema version, or None; `true` and `1.0` are no versions."""
    version = members.get("schemaVersion")
    return version if type(version) is int else None


def is_schema1(members: Mapping[str, object]) -> bool:
    """Say whether a document is Docker schema 1. Only its form tells that: it states no media type."""
    own = members.get("mediaType")
    return (
        _version(members) == 1
        and "fsLayers" in members
        and (own is None or (isinstance(own, str) and canonical(own) in SCHEMA1_TYPES))
    )


def _check_names(members: Mapping[str, object], member: str) -> None:
    """Refuse a member that differs from a known one by case only: some readers (Go's) take the two for one."""
    for name in members:
        known = _NAMES.get(name.casefold(), name)
        if name != known:
            raise InvalidManifest(f"{member}.{name}".lstrip("."), f"it is not written {known!r}")


def type_by_form(members: Mapping[str, object]) -> str | None:
    """Tell an index from an image manifest by its form, as Docker Distribution does, if no type is stated."""
    if _version(members) != 2:
        return None
    for name, kind in (("manifests", OCI_INDEX), ("config", OCI_MANIFEST)):
        if members.get(name) is not None:
            return kind
    return OCI_INDEX if "manifests" in members else None


def _media_type(members: Mapping[str, object], given: str | None) -> tuple[str, bool]:
    if given is not None:
        check_media_type(given, "")
    if given is None and is_schema1(members):
        return DOCKER_SCHEMA1, True
    if given is not None and canonical(given) in SCHEMA1_TYPES:
        return given, True
    if is_schema1(members):
        raise InvalidManifest("schemaVersion", f"it is 1, the manifest came as {given!r}")
    own = members.get("mediaType")
    if own is not None:
        if not isinstance(own, str):
            raise InvalidManifest("mediaType", "it is not text")
        if given is not None and canonical(given) != canonical(own):
            raise InvalidManifest("mediaType", f"it is {own[:100]!r}, the manifest came as {given!r}")
        return check_media_type(own), True
    kind = given or type_by_form(members)
    if kind is not None:
        return kind, False
    raise InvalidManifest(
        "mediaType", "the document does not tell what it is, and it came without a media type"
    )


def _schema1(members: Mapping[str, object], kind: str) -> ManifestDocument:
    if _version(members) != 1:
        raise InvalidManifest("schemaVersion", "it is not 1")
    own = members.get("mediaType")
    if own is not None and not (isinstance(own, str) and canonical(own) in SCHEMA1_TYPES):
        # A reader that goes by that type reads other members than are judged here.
        raise InvalidManifest("mediaType", f"it is {str(own)[:100]!r}, which is not Docker schema 1")
    _check_names(members, "")
    layers = members.get("fsLayers")
    history = members.get("history")
    if not isinstance(layers, list) or not layers:
        raise InvalidManifest("fsLayers", "it is not a list of at least one layer")
    _check_count(layers, "fsLayers")
    if not isinstance(history, list) or len(history) != len(layers):
        raise InvalidManifest("history", "it is not a list of as many entries as there are layers")
    blobs = []
    for index, layer in enumerate(layers):
        member = f"fsLayers[{index}]"
        digest = _member(_object(layer, member), "blobSum", member)
        blobs.append(Descriptor(SCHEMA1_LAYER, _digest(digest, f"{member}.blobSum"), -1))
    return ManifestDocument(
        media_type=kind,
        declared=True,
        apparent=True,
        name=_member(members, "name", ""),
        tag=_member(members, "tag", ""),
        blobs=_each_once(tuple(blobs)),
        schema1=True,
    )


def _descriptors(value: object, member: str) -> tuple[Descriptor, ...]:
    if value is None:  # absent, or null: Go reads an empty list, and writes null for one
        return ()
    if not isinstance(value, list):
        raise InvalidManifest(member, "it is not a list")
    _check_count(value, member)
    return tuple(_descriptor(item, f"{member}[{index}]") for index, item in enumerate(value))


def _sorted(
    config: Sequence[Descriptor], entries: Sequence[Descriptor], *, image: bool
) -> tuple[list[Descriptor], list[Descriptor], list[Descriptor]]:
    """Return the references that are blobs, those that are manifests, and those that may be either.

    An index may list blobs: BuildKit stores its cache in this way. An entry's type decides, not its place.
    """
    blobs, manifests, others = [*config], list[Descriptor](), list[Descriptor]()
    for entry in entries:
        kind = canonical(entry.media_type)
        if kind in _NON_DISTRIBUTABLE:
            continue
        if image or kind.startswith(_BLOBS):
            blobs.append(entry)
        else:
            (manifests if kind in _MANIFESTS else others).append(entry)
    return blobs, manifests, others


def _check_count(entries: Sequence[object], member: str) -> None:
    if len(entries) > REFERENCE_LIMIT:
        reason = f"it has {len(entries)} entries, over the limit of {REFERENCE_LIMIT}"
        raise TooManyReferences(member, reason, len(entries), REFERENCE_LIMIT)


def _descriptor(value: object, member: str) -> Descriptor:
    members = _object(value, member)
    _check_names(members, member)
    media_type = check_media_type(_member(members, "mediaType", member), f"{member}.mediaType")
    digest = _digest(_member(members, "digest", member), f"{member}.digest")
    size = members.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _SIZE_LIMIT:
        raise InvalidManifest(f"{member}.size", "it is not a whole number of bytes")
    return Descriptor(media_type, digest, size, _text(members, "artifactType", member))


def _object(value: object, member: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidManifest(member, "it is not an object")
    return value


def _member(value: Mapping[str, object], name: str, member: str) -> str:
    text = value.get(name)
    if isinstance(text, str):
        return text
    raise InvalidManifest(
        f"{member}.{name}".lstrip("."), "it is missing" if text is None else "it is not text"
    )


def _text(value: Mapping[str, object], name: str, member: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise InvalidManifest(f"{member}.{name}".lstrip("."), "it is not text")
    return text


def _digest(text: str, member: str) -> Digest:
    try:
        return Digest(text)
    except InvalidDigest as error:
        raise InvalidManifest(member, str(error)) from error


def _artifact_type(members: Mapping[str, object], config: tuple[Descriptor, ...]) -> str | None:
    # distribution-spec, "Listing Referrers": the config's media type stands in for an absent artifactType.
    given = _text(members, "artifactType", "")
    if given:
        return given
    return config[0].media_type if config else None


def _each_once(descriptors: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({descriptor.digest: descriptor for descriptor in descriptors}.values())
