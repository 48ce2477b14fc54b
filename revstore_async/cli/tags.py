"""Commands about tags: tags, tag, history, restore."""

from datetime import datetime

import click

from ..errors import InvalidInput, RepositoryUnknown, RevstoreError, TagUnknown
from ..formats.digest import Digest
from ..formats.names import Reference, RepositoryName, Tag, tag_or_digest
from ..registry import Registry
from ..tags.listing import TagInfo
from ..tags.state import ABSENT, Expected
from .inputs import ReferenceType, RepositoryType, TimeType
from .session import Session, shared_options

_PAGE = 1000  # tags, or entries of a history, that are read together


@click.command()
@click.argument("repository", metavar="REPO", type=RepositoryType())
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Print at most so many.")
@click.option("--last", metavar="TAG", help="Print only tags after this one.")
@shared_options
@click.pass_obj
def tags(session: Session, repository: RepositoryName, limit: int | None, last: str | None) -> None:
    """Print the tags of a repository, in lexical order."""

    async def work(registry: Registry) -> None:
        opened = registry.repository(repository)
        found: list[TagInfo] = []
        after = last
        while limit is None or len(found) < limit:
            page = await opened.tags.list(limit=min(_PAGE, (limit or 1 << 30) - len(found)), last=after)
            found.extend(page.tags)
            after = page.next
            if after is None:
                break
        if not found and not await opened.exists():
            raise RepositoryUnknown(repository)
        session.say(
            [{"tag": info.tag, "modified": info.modified.isoformat()} for info in found],
            "\n".join(info.tag for info in found),
        )

    session.within(work)


@click.command()
@click.argument("repository", metavar="REPO", type=RepositoryType())
@click.argument("source", metavar="REF")
@click.argument("name", metavar="TAG")
@click.option("--expect", metavar="DIGEST|absent", help="Change it only if it points there, or is absent.")
@shared_options
@click.pass_obj
def tag(session: Session, repository: RepositoryName, source: str, name: str, expect: str | None) -> None:
    """Point TAG at a manifest of REPO, named by a tag or a digest; print its digest."""
    try:
        target = _target(repository, source)
        wanted = Tag(name)
        expected: Expected = None if expect is None else ABSENT if expect == "absent" else Digest(expect)
    except RevstoreError as error:
        raise click.UsageError(str(error)) from error

    async def work(registry: Registry) -> None:
        opened = registry.repository(repository)
        digest = await opened.tags.resolve(target) if isinstance(target, Tag) else target
        await opened.tags.set(wanted, digest, expected=expected)
        session.say({"repository": repository, "tag": wanted, "digest": digest}, digest)

    session.within(work)


@click.command()
@click.argument("reference", metavar="REPO:TAG", type=ReferenceType(target=Tag))
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Print at most so many.",
)
@click.option(
    "--until",
    type=TimeType(),
    metavar="TIME",
    help="Begin with what the tag was then. ISO 8601; UTC if no zone.",
)
@shared_options
@click.pass_obj
def history(session: Session, reference: Reference, limit: int, until: datetime | None) -> None:
    """Print the revisions that a tag had, with the time since when, the newest first."""

    async def work(registry: Registry) -> None:
        tags, tag = registry.repository(reference.repository).tags, str(reference.target)
        page = await tags.history_page(tag, limit=min(limit, _PAGE), until=until)
        events = [*page.events]
        if not events:
            raise TagUnknown(reference.repository, tag)
        while page.next is not None and len(events) < limit:
            page = await tags.history_page(tag, limit=min(limit - len(events), _PAGE), last=page.next)
            events += page.events
        session.say(
            [{"since": event.since.isoformat(), "digest": event.digest} for event in events],
            "\n".join(f"{event.since.isoformat()}  {event.digest or 'deleted'}" for event in events),
        )
        if page.next is not None:
            click.echo("revstore: there are older entries; --limit and --until show them", err=True)

    session.within(work)


@click.command()
@click.argument("reference", metavar="REPO:TAG", type=ReferenceType(target=Tag))
@click.option(
    "--at", "time", required=True, type=TimeType(), metavar="TIME", help="ISO 8601; UTC if no zone."
)
@shared_options
@click.pass_obj
def restore(session: Session, reference: Reference, time: datetime) -> None:
    """Point a tag at the revision that it had at a time; print its digest."""

    async def work(registry: Registry) -> None:
        digest = await registry.repository(reference.repository).tags.restore(str(reference.target), time)
        session.say({"repository": reference.repository, "tag": reference.target, "digest": digest}, digest)

    session.within(work)


COMMANDS = (tags, tag, history, restore)


def _target(repository: RepositoryName, source: str) -> Tag | Digest:
    """Read REF: a tag, a digest, or a full reference into the same repository."""
    try:
        return tag_or_digest(source)
    except InvalidInput:
        if not source.startswith((f"{repository}:", f"{repository}@")):
            raise
    return Reference.parse(source).target or tag_or_digest(source)
