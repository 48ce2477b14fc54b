"""The command about uploads: purge."""

from datetime import timedelta
from typing import Final

import click

from ..registry import Registry
from .inputs import DurationType
from .session import Session, shared_options

LEAST: Final = "1h"
"""The least age that is purged: bytes count from the end of the request that sends them, which may take long."""
MOST: Final = "3650d"


@click.command()
@click.option(
    "--older-than",
    required=True,
    type=DurationType(LEAST, MOST),
    metavar="DURATION",
    help=f"Since when nobody went on with them, such as 12h or 2d; {LEAST} at least.",
)
@shared_options
@click.pass_obj
def purge(session: Session, older_than: timedelta) -> None:
    """Forget the uploads that clients gave up; print how many.

    With them goes what finished uploads and killed processes left, uncounted. No request may take longer than the
    DURATION: its upload would be forgotten while its bytes arrive. Servers may be at work on the store meanwhile.
    """

    async def work(registry: Registry) -> None:
        count = await registry.purge_uploads(older_than)
        session.say({"uploads": count}, f"abandoned uploads forgotten: {count}")

    session.within(work)


COMMANDS = (purge,)
