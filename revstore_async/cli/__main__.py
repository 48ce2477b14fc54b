"""`python -m revstore_async.cli`, for users without the command itself on their path."""

from . import main

main()
