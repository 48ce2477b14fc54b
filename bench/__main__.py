"""`python -m bench [scenario...]`: measure, and write JSON, tables and plots. `docs/performance.md` says how."""

import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import link, stores
from .context import Bench
from .loops import run
from .machine import machine, versions
from .options import Options, parse
from .progress import Progress
from .report import readme, write_report
from .results import Measurement, Results
from .scenarios import SCENARIOS
from .servers.registries import DOORS


def _bare(argument: str) -> str:
    """Return an argument; of a path on this machine, only the name."""
    return Path(argument).name if argument.startswith("/") else argument


def about(options: Options) -> dict[str, Any]:
    """Return the circumstances of the run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        # Without the folders of this machine, which say nothing to a reader.
        "command": " ".join(["python -m bench", *(_bare(each) for each in sys.argv[1:])]),
        "seed": options.seed,
        "store": options.store.partition("?")[0],
        "machine": machine(),
        "versions": versions(),
        "quick": options.quick,
    }


async def measure(options: Options, results: Results, progress: Progress) -> None:
    """Run the scenarios; after a failure, which the results record, the next one runs."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = await stack.enter_async_context(stores.opened(options.store, folder))
        way = None
        if store.distant is not None:
            way = await stack.enter_async_context(link.running(*store.distant, DOORS))
        bench = Bench(options, store, way, results, progress, folder)
        for name in options.scenarios:
            progress(name)
            try:
                await SCENARIOS[name](bench)
            except Exception as error:  # noqa: BLE001 (the results record it, and the other scenarios run)
                why = f"{type(error).__name__}: {error}"
                progress(f"{name} failed: {why}")
                results.add(Measurement(name, {}, "all", "time", "ms", failed=why[-2000:]))
            if options.json is not None:
                results.write(options.json)  # after each, so that a broken run leaves what it had


def main() -> int:
    """Run; the exit code is 1 if anything failed."""
    options = parse(sys.argv[1:], list(SCENARIOS))
    progress = Progress()
    results = Results(about(options))
    try:
        run(measure(options, results, progress))
    finally:
        progress.end()
    print(write_report(results))
    if options.plots is not None:
        from .plots import draw  # noqa: PLC0415 (matplotlib may not be installed)

        draw(results, options.plots)
    if options.readme:
        readme(results)
    return int(any(each.failed for each in results.measurements))


if __name__ == "__main__":
    sys.exit(main())
