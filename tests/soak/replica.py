"""A replica of the soak: `python -m tests.soak.replica FILE ARGUMENT...` is `revstore ARGUMENT...`.

At SIGUSR1 it writes the names of its tasks into the file, as JSON.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from revstore_async.cli import main


def tell_tasks_into(path: Path) -> None:
    """Write the tasks of the running loop into a file at each SIGUSR1."""

    def tell(_number: int, _frame: object) -> None:
        try:
            tasks = asyncio.all_tasks()
        except RuntimeError:  # no loop runs yet, or no more
            return
        told = path.with_suffix(".new")
        told.write_text(json.dumps(sorted(getattr(each.get_coro(), "__qualname__", "?") for each in tasks)))
        told.replace(path)

    signal.signal(signal.SIGUSR1, tell)


if __name__ == "__main__":
    tell_tasks_into(Path(sys.argv.pop(1)))
    main()
