"""The `revstore` command."""

import sys


def main() -> None:
    """Run the command and leave with its exit code: 0 fine, 1 the answer is no, 2 usage or failure."""
    try:
        from .commands import run  # noqa: PLC0415 - click is an extra, and its absence has its own message
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("revstore: the command needs packages that are not installed: ")
        sys.stderr.write("pip install 'revstore-async[cli]'\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


__all__ = ["main"]
