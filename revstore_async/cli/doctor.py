"""Commands about a store as a whole: doctor."""

import sys
from dataclasses import asdict

import click

from ..doctor import Finding, Report, Verdict, examine
from ..registry import Registry
from .session import AnswerIsNo, Session, shared_options


@click.command()
@shared_options
@click.pass_obj
def doctor(session: Session) -> None:
    """Test the abilities of a store: conditions among many writers, order of listings, ranges, and so on.

    It writes below one prefix of its own and deletes that again. The answer is yes (exit code 0) if the store
    does all that its driver says. It is no (1) if something is broken: the command then names the options with
    which the `s3` driver says no more than the store does. If nothing is broken, but a test was impossible,
    there is no answer (2).
    """

    def progress(finding: Finding) -> None:
        if sys.stderr.isatty():
            click.echo(f"{finding.verdict:11}  {finding.check}", err=True)

    async def work(registry: Registry) -> Report:
        return await examine(registry.driver, on_finding=progress)

    report = session.within(work)
    session.say(_as_values(report), _as_text(report))
    if any(finding.verdict is Verdict.BROKEN for finding in report.findings):
        raise AnswerIsNo
    if not report.decided:
        raise click.ClickException("the examination is not complete: something could not be tried")


def _as_values(report: Report) -> dict[str, object]:
    return {
        "healthy": report.healthy,
        "decided": report.decided,
        "findings": [asdict(finding) for finding in report.findings],
        "capabilities": {
            name: value for name, value in asdict(report.capabilities).items() if isinstance(value, bool)
        },
        "options": report.options,
    }


def _as_text(report: Report) -> str:
    width = max(len(finding.check) for finding in report.findings)
    lines = [
        f"{finding.check:{width}}  {finding.verdict:11}  {finding.detail}".rstrip()
        for finding in report.findings
    ]
    if not report.decided:
        lines += [
            "",
            "What is undecided could not be tried; run this again when what stood in the way is gone",
        ]
    if report.options:
        options = "&".join(f"{name}={str(value).lower()}" for name, value in report.options.items())
        lines += ["", f"An s3: URL that offers no more than this store honours has the options {options}"]
    return "\n".join(lines)


COMMANDS = (doctor,)
