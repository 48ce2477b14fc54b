"""The scenarios with runs of the collector beside other calls. A new race with the collector gets a row here."""

from collections.abc import Sequence

from revstore_async import Digest

from .acts import Act, delete, pull, put
from .collecting import OLD, cancel_run, collect, keeping
from .explored_store import DEATH_RUNS, LOST_RUNS, MEMORY_RUNS, MINIO_RUNS, Profile
from .scenarios import (
    LAYER,
    SCENARIOS,
    TAG,
    WITH_LAYER,
    A,
    B,
    Scenario,
)

LAYER_DIGEST = Digest.of(LAYER)
LIVING = (MEMORY_RUNS, MINIO_RUNS)
ALL = (*LIVING, LOST_RUNS, DEATH_RUNS)
NO_MANIFEST, NO_BLOB = "ManifestUnknown", "BlobUnknown"


def _row(
    name: str,
    before: Sequence[Act],
    *actors: Sequence[Act],
    runs: Sequence[Profile] = LIVING,
    large: bool = False,
    uploads: tuple[str, ...] = (),
) -> Scenario:
    return Scenario(name, before, actors, runs=runs, large=large, uploads=uploads)


RUNS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        # ---- runs alone
        _row("collect-collect", [put(A, TAG), put(WITH_LAYER, OLD)], [collect()], [collect()]),
        _row(
            "collect-takeover",
            [put(A, TAG), put(WITH_LAYER, OLD)],
            [collect()],
            [collect(again=True)],
            runs=(LOST_RUNS, DEATH_RUNS),
        ),
        _row("collect-cancel", [put(A, TAG), put(WITH_LAYER, OLD)], [cancel_run()], [collect()]),
        # ---- readers and deletions
        _row(
            "collect-pull",
            [put(WITH_LAYER, OLD)],
            [keeping(pull(OLD), refusals=["TagUnknown", NO_MANIFEST])],
            [collect()],
        ),
        _row("collect-delete-tag", [put(A, TAG), put(WITH_LAYER, OLD)], [delete(TAG)], [collect()]),
        _row(
            "collect-delete-old",
            [put(A, TAG), put(WITH_LAYER, OLD)],
            [keeping(delete(OLD), refusals=["TagUnknown", "TagContended"])],
            [collect()],
        ),
        _row("collect-delete-digest", [put(A, TAG), put(B, OLD)], [delete(A.digest)], [collect()]),
    )
}
EVERY = {**SCENARIOS, **RUNS}
