"""The command's parts, put together. A part is imported when its command is run, so that `--help` is quick."""

from importlib import import_module
from typing import Final

import click

from .session import exit_code, shared_options

COMMANDS: Final = {
    "doctor": (
        "doctor",
        "Test the abilities of a store: conditions among many writers, order of listings, ranges, and so on.",
    ),
    "du": (
        "usage",
        "Print the bytes of each repository and of the store, and how many of them a run of gc could free.",
    ),
    "gc": ("gc", "Free the space of garbage: content without a manifest that needs it."),
    "get": (
        "manifests",
        "Write a manifest's exact bytes to standard output; with --json also its digest, type and signatures.",
    ),
    "history": ("tags", "Print the revisions that a tag had, with the time since when, the newest first."),
    "key": ("signing_keys", "Make a signing key, or look at one."),
    "ls": ("repositories", "Print the repositories of the store, in lexical order."),
    "merge": (
        "manifests",
        "Write the one document with the signatures of all the given documents of one manifest.",
    ),
    "purge": ("purge", "Forget the uploads that clients gave up; print how many."),
    "put": ("manifests", "Verify and store a manifest, merge its signatures, set the tag; print its digest."),
    "restore": ("tags", "Point a tag at the revision that it had at a time; print its digest."),
    "retention": ("retention", "Look at the decisions of retention rules."),
    "rm": (
        "manifests",
        "Delete a tag (REPO:TAG), or a manifest with the tags that point at it (REPO@DIGEST).",
    ),
    "serve": ("serve", "Serve a registry to docker, podman, skopeo and the like, until SIGTERM."),
    "sign": (
        "manifests",
        "Sign a manifest: write a file's signed document, or add the signature to a stored manifest.",
    ),
    "tag": ("tags", "Point TAG at a manifest of REPO, named by a tag or a digest; print its digest."),
    "tags": ("tags", "Print the tags of a repository, in lexical order."),
    "why": (
        "usage",
        "Print the chains by which a digest is kept, or the time since which nothing keeps it.",
    ),
    "verify": ("manifests", "Verify all signatures of a manifest and print the result, as JSON."),
}
"""The module of each command, and what `revstore --help` says of it: the first sentence of its own help."""


class _Revstore(click.Group):
    """Knows its commands by name and summary, and imports the module of the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        """Return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        part = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        commands: tuple[click.Command, ...] = part.COMMANDS
        return next(command for command in commands if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the summaries of all commands."""
        width = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [(name, _shortened(summary, width)) for name, (_, summary) in sorted(COMMANDS.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _shortened(summary: str, width: int) -> str:
    return click.Command(None, help=summary).get_short_help_str(width)


@click.group(cls=_Revstore, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="revstore-async")
@shared_options
def revstore() -> None:
    """Store, sign, verify and tag image manifests in a registry's storage.

    REPO is a repository's name, REF is REPO:TAG or REPO@DIGEST, FILE is a file, or - for standard input.

    Exit codes: 0 fine; 1 the answer is no (not found, does not verify, is not as expected); 2 usage or failure.
    """


def run(arguments: list[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    return exit_code(revstore, arguments)
