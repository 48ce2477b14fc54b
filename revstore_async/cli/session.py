"""The parts that every command shares: its store, its output, its exit code."""

import json
import os
import select
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from ..driver import Driver
    from ..policy import Policy
    from ..registry import Registry

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])

FINE, NO, FAILURE, INTERRUPTED = 0, 1, 2, 130

PATIENCE: Final = 2.0
"""Seconds that the last words of a command wait for the reader of standard error."""

_PIECE: Final = 1000
"""Characters that go to standard error at once: a pipe that takes more has room for 4,096 bytes."""


class AnswerIsNo(Exception):
    """The command did its work, and the answer is no. It has printed the reason already."""


@dataclass(slots=True)
class Session:
    """The options that may stand before or after the command's name."""

    store: str | None = None
    as_json: bool = False

    @property
    def url(self) -> str | None:
        """The store's URL, if one was named."""
        # Not click's envvar: the option stands in two places, and the one given must win over both defaults.
        return self.store or os.environ.get("REVSTORE_STORE") or None

    def within(
        self, work: Callable[["Registry"], Awaitable[Result]], policy: "Policy | None" = None
    ) -> Result:
        """Open the store, do the work in it, and close it."""
        from ..registry import Registry  # noqa: PLC0415 (it takes a while to load)

        async def opened(driver: "Driver") -> Result:
            async with Registry(driver, policy=policy) as registry:
                return await work(registry)

        return self._run(opened)

    def within_driver(self, work: Callable[["Driver"], Awaitable[Result]]) -> Result:
        """Open the store's driver alone, do the work with it, and close it."""

        async def opened(driver: "Driver") -> Result:
            async with driver:
                return await work(driver)

        return self._run(opened)

    def _run(self, opened: Callable[["Driver"], Awaitable[Result]]) -> Result:
        url = self.url
        if not url:
            raise click.UsageError("which store? Give --store URL, or set REVSTORE_STORE")
        import asyncio  # noqa: PLC0415 (it takes a while to load, and so does the driver)

        from ..driver import open_driver  # noqa: PLC0415

        async def run() -> Result:
            return await opened(open_driver(url))

        return asyncio.run(run())

    def say(self, value: object, plain: str | None = None) -> None:
        """Print a result: as one line of JSON if that was asked for, else as the plain text."""
        if self.as_json or plain is None:
            click.echo(json.dumps(value, indent=None if self.as_json else 2))
        elif plain:
            click.echo(plain)


def _take_store(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    session = context.ensure_object(Session)
    session.store = value or session.store


def _take_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    session = context.ensure_object(Session)
    session.as_json = value or session.as_json


def shared_options(command: Command) -> Command:
    """Add --store and --json to a command; they may stand before its name too."""
    for option in (
        click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=_take_json,
            help="Print JSON, one value on one line.",
        ),
        click.option(
            "--store",
            metavar="URL",
            expose_value=False,
            callback=_take_store,
            help="The store, such as file:///var/lib/registry. Default: $REVSTORE_STORE.",
        ),
    ):
        command = option(command)
    return command


def exit_code(command: click.Command, arguments: list[str]) -> int:
    """Run a command and tell how it ended: 0 fine, 1 the answer is no, 2 usage or failure."""
    try:
        command.main(arguments, prog_name="revstore", standalone_mode=False)
    except AnswerIsNo:
        return NO
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit:  # click ends so when the reader of our output left; its code would be 1
        return FAILURE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        said = StringIO()
        error.show(said)
        _tell(said.getvalue())
        return FAILURE
    except Exception as error:  # noqa: BLE001 (of all kinds)
        return _told(error)
    return FINE


def _told(error: Exception) -> int:
    from ..errors import (  # noqa: PLC0415 (they take a while to load)
        Conflict,
        InvalidSignature,
        NotFound,
        RevstoreError,
        VerificationFailed,
    )

    if not isinstance(
        error, RevstoreError | OSError
    ):  # a defect: the user sees it whole, and it is no answer
        _tell("".join(traceback.format_exception(error)))
        return FAILURE
    _tell(f"revstore: {error}\n")
    return NO if isinstance(error, NotFound | Conflict | VerificationFailed | InvalidSignature) else FAILURE


def _tell(text: str) -> None:
    """Write text to standard error. If its reader takes nothing for `PATIENCE` seconds, give up the rest."""
    for start in range(0, len(text), _PIECE):
        if not _takes_more(sys.stderr):
            return
        click.echo(text[start : start + _PIECE], nl=False, err=True)


def _takes_more(stream: TextIO) -> bool:
    try:
        return bool(select.select([], [stream], [], PATIENCE)[1])
    except (OSError, ValueError):  # it has no descriptor, or one of another kind
        return True
