"""The command ls: lists the repositories of a store. It needs a driver and no registry, so it loads less."""

import click

from .. import inventory
from ..driver import Driver
from ..layout import CURRENT
from .session import Session, shared_options


@click.command()
@shared_options
@click.pass_obj
def ls(session: Session) -> None:
    """Print the repositories of the store, in lexical order."""

    async def work(driver: Driver) -> None:
        names = [name async for name in inventory.repositories(driver, CURRENT)]
        session.say(names, "\n".join(names))

    session.within_driver(work)


COMMANDS = (ls,)
