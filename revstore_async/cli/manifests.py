"""Commands about manifests and their signatures: put, get, verify, merge, sign, rm."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from .. import signatures as signing
from ..errors import InvalidJSON, InvalidManifest, InvalidSignature, RepositoryUnknown, RevstoreError
from ..formats.descriptors import DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED
from ..formats.digest import Digest
from ..formats.manifests import read_manifest
from ..formats.names import Reference, Tag
from ..policy import Policy
from ..registry import Registry, Repository
from ..repository_deletion import DeletionProgress
from ..signatures import Signature
from ..trust import TrustPolicy
from .collecting import told
from .inputs import ReferenceType, document_or_reference, read_document
from .key_inputs import signing_key, trust_policy
from .session import AnswerIsNo, Session, shared_options


@click.command()
@click.argument("reference", metavar="REPO[:TAG]", type=ReferenceType(target=Tag, demanded=False))
@click.argument("file", metavar="FILE|-")
@click.option("--media-type", metavar="TYPE", help="The manifest's type, where it does not tell it itself.")
@click.option("--no-check-layers", is_flag=True, help="Take it though the store lacks what it refers to.")
@shared_options
@click.pass_obj
def put(
    session: Session, reference: Reference, file: str, media_type: str | None, no_check_layers: bool
) -> None:
    """Verify and store a manifest, merge its signatures, set the tag; print its digest."""
    document = read_document(file)

    async def work(registry: Registry) -> None:
        repository = registry.repository(reference.repository)
        stored = await repository.manifests.put(document, tag=reference.target, media_type=media_type)
        session.say(
            {
                "repository": reference.repository,
                "tag": stored.tag,
                "digest": stored.digest,
                "media_type": stored.media_type,
                "size": stored.size,
            },
            stored.digest,
        )

    session.within(work, Policy(check_layers=not no_check_layers))


@click.command()
@click.argument("reference", metavar="REF", type=ReferenceType())
@shared_options
@click.pass_obj
def get(session: Session, reference: Reference) -> None:
    """Write a manifest's exact bytes to standard output; with --json also its digest, type and signatures."""

    async def work(registry: Registry) -> None:
        manifest = await registry.repository(reference.repository).manifests.get(str(reference.target))
        if session.as_json:
            session.say(
                {
                    "repository": reference.repository,
                    "digest": manifest.digest,
                    "media_type": manifest.media_type,
                    "signatures": [_described(signature, None) for signature in manifest.signatures],
                    "content": manifest.content.decode("utf-8", "replace"),
                }
            )
        else:
            click.echo(manifest.content, nl=False)

    session.within(work)


@click.command()
@click.argument("source", metavar="FILE|REF")
@click.option("--trust", multiple=True, metavar="KEY", help="A key (PEM, JWK, or its ID) or CA certificates.")
@shared_options
@click.pass_obj
def verify(session: Session, source: str, trust: Sequence[str]) -> None:
    """Verify all signatures of a manifest and print the result, as JSON.

    The answer is yes (exit code 0) if it is signed, every signature verifies and, with --trust, one of the
    signatures at least is by a key that counts.
    """
    policy = trust_policy(trust)
    target = document_or_reference(source)
    report: dict[str, Any]
    if isinstance(target, Reference):
        report = session.within(lambda registry: _stored_report(registry, target, policy))
    else:
        report = _report(target, policy)
    session.say(report)
    signed = report["signatures"]
    if report["errors"] or not signed or (policy and not any(each["trusted"] for each in signed)):
        raise AnswerIsNo


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@shared_options
@click.pass_obj
def merge(session: Session, files: Sequence[str]) -> None:
    """Write the one document with the signatures of all the given documents of one manifest."""
    document = signing.merge([read_document(file) for file in files])
    _write_document(session, document)


@click.command()
@click.option("--key", "key_file", required=True, metavar="KEY", help="A private key: PEM or JWK.")
@click.option("--passphrase", envvar="REVSTORE_PASSPHRASE", help="Of the key. Default: $REVSTORE_PASSPHRASE.")
@click.argument("source", metavar="FILE|REF")
@shared_options
@click.pass_obj
def sign(session: Session, key_file: str, passphrase: str | None, source: str) -> None:
    """Sign a manifest: write a file's signed document, or add the signature to a stored manifest."""
    key = signing_key(key_file, passphrase)
    target = document_or_reference(source)
    if not isinstance(target, Reference):
        payload, signed = target, tuple[Signature, ...]()
        if signing.is_signed(target):
            document = signing.verify_document(target)
            payload, signed = document.payload, document.signatures
        _write_document(session, signing.serialise(payload, [*signed, signing.sign(payload, key)]))
        return

    async def work(registry: Registry) -> None:
        repository = registry.repository(target.repository)
        digest = target.target
        if isinstance(digest, Tag):
            digest = await repository.tags.resolve(digest)
        revision = Digest(str(digest))
        signature = signing.sign(await repository.revisions.payload(revision), key)
        await repository.revisions.add_signatures(revision, [signature])
        session.say({"digest": revision, **_described(signature, None)}, revision)

    session.within(work)


@click.command()
@click.argument("reference", metavar="REF", type=ReferenceType(demanded=False))
@click.option("--recursive", "-r", is_flag=True, help="Delete a whole repository (REPO), after a question.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options
@click.pass_obj
def rm(session: Session, reference: Reference, *, recursive: bool, yes: bool) -> None:
    """Delete a tag (REPO:TAG), or a manifest with the tags that point at it (REPO@DIGEST).

    With -r, delete a repository (REPO): its tags, manifests, layers and uploads. Repositories below it stay.
    """
    if recursive != (reference.target is None):
        wanted = "-r takes a repository's name alone" if recursive else "name a tag or a digest, or give -r"
        raise click.UsageError(f"{str(reference)!r}: {wanted}")

    async def work(registry: Registry) -> None:
        repository = registry.repository(reference.repository)
        if reference.target is None:
            await _delete_repository(repository, yes=yes)
        else:
            await repository.manifests.delete(str(reference.target))
        session.say({"deleted": str(reference)}, "")

    session.within(work)


async def _delete_repository(repository: Repository, *, yes: bool) -> None:
    if not await repository.exists():
        raise RepositoryUnknown(repository.name)
    question = f"Delete all of {repository.name}?"
    if not (yes or await asyncio.to_thread(click.confirm, question, err=True)):
        raise click.Abort
    progress = DeletionProgress()
    async with told(progress):
        await repository.delete(progress=progress)


COMMANDS = (put, get, verify, merge, sign, rm)


def _write_document(session: Session, document: bytes) -> None:
    if session.as_json:
        signed = signing.parse(document)
        session.say(
            {
                "digest": Digest.of(signed.payload),
                "signatures": [_described(signature, None) for signature in signed.signatures],
                "content": document.decode(),
            }
        )
    else:
        click.echo(document, nl=False)


def _described(signature: Signature, policy: TrustPolicy | None) -> dict[str, Any]:
    return {
        "kid": signature.kid,
        "alg": signature.alg,
        "time": signature.time.isoformat(),
        "trusted": policy.trusted(signature) if policy else None,
    }


async def _stored_report(
    registry: Registry, reference: Reference, policy: TrustPolicy | None
) -> dict[str, Any]:
    manifest = await registry.repository(reference.repository).manifests.get(str(reference.target))
    payload = manifest.content
    if manifest.media_type == DOCKER_SCHEMA1_SIGNED:
        payload = signing.parse(payload).payload
    # Each by itself: one document can't always hold all stored ones, and each is right or wrong alone.
    errors = [error for signature in manifest.signatures for error in signing.check(payload, [signature])]
    return {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "signatures": [_described(signature, policy) for signature in manifest.signatures],
        "errors": [str(error) for error in errors],
    }


def _report(document: bytes, policy: TrustPolicy | None) -> dict[str, Any]:
    report: dict[str, Any] = {"digest": None, "media_type": None, "signatures": [], "errors": []}
    errors: list[RevstoreError] = []
    payload, signed = document, tuple[Signature, ...]()
    try:
        if signing.is_signed(document):
            parsed = signing.parse(document)
            payload, signed = parsed.payload, parsed.signatures
        report["digest"] = Digest.of(payload)
        report["media_type"] = _media_type(payload, signed=bool(signed))
        errors.extend(signing.check(payload, signed))
    except (InvalidJSON, InvalidSignature) as error:
        errors.append(error)
    report["signatures"] = [_described(signature, policy) for signature in signed]
    report["errors"] = [str(error) for error in errors]
    return report


def _media_type(payload: bytes, *, signed: bool) -> str | None:
    """Return the type of a payload; None if it is no manifest, since hosts can sign any JSON object."""
    try:
        found = read_manifest(payload).media_type
    except (InvalidManifest, InvalidJSON):
        return None
    return DOCKER_SCHEMA1_SIGNED if signed and found == DOCKER_SCHEMA1 else found
