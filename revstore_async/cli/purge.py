"""The command purge: deletes abandoned uploads."""

from datetime import timedelta

import click

from ..registry import Registry
from .inputs import LEAST_REST, MOST_REST, DurationType
from .session import Session, shared_options


@click.command()
@click.option(
    "--older-than",
    required=True,
    type=DurationType(LEAST_REST, MOST_REST),
    metavar="DURATION",
    help=f"The time for which they rested, such as 12h or 2d; {LEAST_REST} at least.",
)
@shared_options
@click.pass_obj
def purge(session: Session, older_than: timedelta) -> None:
    """Forget the uploads that clients gave up; print how many.

    It also deletes the leftovers of finished uploads and killed processes, uncounted. No request may take
    longer than the DURATION: its upload would be forgotten while its bytes arrive. Servers may be at work on
    the store meanwhile.
    """

    async def work(registry: Registry) -> None:
        count = await registry.purge_uploads(older_than)
        session.say({"uploads": count}, f"abandoned uploads forgotten: {count}")

    session.within(work)


COMMANDS = (purge,)
