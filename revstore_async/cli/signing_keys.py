"""Commands about signing keys: key new, key show."""

import os
from typing import get_args

import click

from ..signatures import KeyKind, SigningKey
from .key_inputs import public_key
from .session import Session, shared_options


@click.group()
@shared_options
def key() -> None:
    """Make a signing key, or look at one."""


@key.command()
@click.argument("file", metavar="[FILE]", default="-")
@click.option("--kind", type=click.Choice(get_args(KeyKind)), default="P-256", show_default=True)
@shared_options
@click.pass_obj
def new(session: Session, file: str, kind: KeyKind) -> None:
    """Make a private key, in PEM: print it, or with FILE write a new file that only you can read.

    With FILE, the command prints the key ID. It never writes over a file.
    """
    made = SigningKey.generate(kind)
    if file == "-":
        pem = made.to_pem().decode()
        session.say({"kid": made.kid, "pem": pem}, pem.strip())
        return
    # O_EXCL: a key is never written over another.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(made.to_pem())
    session.say({"kid": made.kid, "file": file}, made.kid)


@key.command()
@click.argument("file", metavar="KEY")
@shared_options
@click.pass_obj
def show(session: Session, file: str) -> None:
    """Print a key's ID and its public half, whether the file has a private or a public key."""
    public = public_key(file)
    session.say(
        {"kid": public.kid, "jwk": public.members()}, f"{public.kid}\n{public.to_pem().decode().strip()}"
    )


COMMANDS = (key,)
