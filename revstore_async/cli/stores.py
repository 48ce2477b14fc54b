"""Commands about a store as a whole: doctor."""

import sys
from dataclasses import asdict

import click

from ..doctor import Finding, Report, examine
from ..repository import Registry
from .session import AnswerIsNo, Session, shared_options


@click.command()
@shared_options
@click.pass_obj
def doctor(session: Session) -> None:
    """Try out what a store honours: conditions among many writers, order of listings, ranges, and so on.

    It writes below one prefix of its own and deletes that again. The answer is yes (exit code 0) if the store does
    all that its driver says.
    """

    def progress(finding: Finding) -> None:
        if sys.stderr.isatty():
            click.echo(f"{finding.verdict:11}  {finding.check}", err=True)

    async def work(registry: Registry) -> Report:
        return await examine(registry.driver, on_finding=progress)

    report = session.within(work)
    width = max(len(finding.check) for finding in report.findings)
    session.say(
        {
            "healthy": report.healthy,
            "findings": [asdict(finding) for finding in report.findings],
            "capabilities": {
                name: value for name, value in asdict(report.capabilities).items() if isinstance(value, bool)
            },
        },
        "\n".join(
            f"{finding.check:{width}}  {finding.verdict:11}  {finding.detail}".rstrip()
            for finding in report.findings
        ),
    )
    if not report.healthy:
        raise AnswerIsNo


COMMANDS = (doctor,)
