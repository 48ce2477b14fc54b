"""The command's parts, put together."""

import click

from . import doctor, gc, manifests, purge, serve, signing_keys, tags
from .session import exit_code, shared_options


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="revstore-async")
@shared_options
def revstore() -> None:
    """Store, sign, verify and tag image manifests in a registry's storage.

    REPO is a repository's name, REF is REPO:TAG or REPO@DIGEST, FILE is a file, or - for standard input.

    Exit codes: 0 fine; 1 the answer is no (not found, does not verify, is not as expected); 2 usage or failure.
    """


for _part in (manifests, tags, purge, gc, doctor, serve):
    for _command in _part.COMMANDS:
        revstore.add_command(_command)
revstore.add_command(signing_keys.key)


def run(arguments: list[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    return exit_code(revstore, arguments)
