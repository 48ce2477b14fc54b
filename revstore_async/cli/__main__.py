"""`python -m revstore_async.cli`, for where the command itself is not on the path."""

from . import main

main()
