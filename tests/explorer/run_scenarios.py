"""The scenarios with runs of the collector beside other calls. A new race with the collector gets a row here."""

from collections.abc import Sequence
from datetime import timedelta

from revstore_async import Digest

from .acts import (
    NAME,
    Act,
    append,
    delete,
    delete_layer,
    finish,
    mount,
    pull,
    push_layer,
    put,
    restore,
    set_tag,
)
from .collecting import OLD, cancel_run, collect, keeping, orphan, push, warm
from .explored_store import DEATH_RUNS, EPOCH, LOST_RUNS, MEMORY_RUNS, MINIO_RUNS, Profile
from .scenarios import (
    BY_1,
    BY_2,
    CONFIG,
    INDEX,
    LAYER,
    REFERRER,
    SCENARIOS,
    SENT,
    TAG,
    UPLOAD,
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


def _tagged(tag: str, digest: Digest) -> Act:
    things = [("tag", tag), ("revision", digest)]
    return keeping(set_tag(tag, digest), *things, refusals=[NO_MANIFEST])


PUSHES = [push(WITH_LAYER, [CONFIG, LAYER], TAG)]
PUT_REFERRER = keeping(put(REFERRER), ("revision", REFERRER.digest), refusals=[NO_BLOB])
FINISH = keeping(finish(UPLOAD, SENT), ("layer", NAME, Digest.of(SENT)))
PUSH_LAYER = keeping(push_layer(LAYER), ("layer", NAME, LAYER_DIGEST))
SET_AGAIN = keeping(set_tag(OLD, WITH_LAYER.digest), refusals=[NO_MANIFEST])
TAG_REFERRED = keeping(
    set_tag(TAG, A.digest),
    ("tag", TAG),
    ("revision", A.digest),
    ("revision", REFERRER.digest),
    refusals=[NO_MANIFEST],
)
PUT_ALONE = keeping(
    put(WITH_LAYER, TAG),
    ("tag", TAG),
    ("revision", WITH_LAYER.digest),
    refusals=[NO_BLOB, f"{NO_BLOB}, {NO_BLOB}"],
)
PUT_INDEX = keeping(
    put(INDEX, TAG),
    ("tag", TAG),
    ("revision", INDEX.digest),
    refusals=[NO_MANIFEST, f"{NO_MANIFEST}, {NO_MANIFEST}"],
)
MOUNT = keeping(mount(LAYER_DIGEST), ("layer", NAME, LAYER_DIGEST), refusals=[NO_BLOB])
SENT_DIGEST = Digest.of(SENT)
RESTORE = keeping(
    restore(TAG, EPOCH + timedelta(seconds=15), WITH_LAYER.digest),
    ("tag", TAG),
    ("revision", WITH_LAYER.digest),
    refusals=[NO_MANIFEST],
)

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
        # ---- writers
        _row("collect-push", [put(WITH_LAYER, OLD)], PUSHES, [collect()]),
        _row("collect-push-warm", [put(WITH_LAYER, OLD)], [warm(), *PUSHES], [collect()]),
        _row("collect-put", [put(WITH_LAYER, OLD)], [PUT_ALONE], [collect()]),
        _row("collect-put-new", [], [PUT_ALONE], [collect()]),
        _row("collect-mount", [delete_layer(LAYER_DIGEST)], [MOUNT], [collect()]),
        _row("collect-mount-warm", [delete_layer(LAYER_DIGEST)], [warm(), MOUNT], [collect()]),
        _row("collect-push-layer", [], [PUSH_LAYER], [collect()]),
        _row("collect-tag", [put(WITH_LAYER, OLD)], [_tagged(TAG, WITH_LAYER.digest)], [collect()]),
        _row(
            "collect-tag-warm", [put(WITH_LAYER, OLD)], [warm(), _tagged(TAG, WITH_LAYER.digest)], [collect()]
        ),
        _row("collect-tag-again", [put(WITH_LAYER, OLD)], [SET_AGAIN], [collect()]),
        _row(
            "collect-push-again",
            [put(WITH_LAYER, OLD)],
            [push(WITH_LAYER, [CONFIG, LAYER], OLD)],
            [collect()],
        ),
        _row("collect-tag-referrer", [put(A), put(REFERRER)], [TAG_REFERRED], [collect()]),
        _row("collect-restore", [put(WITH_LAYER, TAG), put(A, TAG)], [RESTORE], [collect()]),
        _row("collect-index", [put(A, OLD), put(WITH_LAYER)], [PUT_INDEX], [collect()]),
        _row("collect-sign", [put(BY_1)], [push(BY_2, [LAYER], TAG)], [collect()]),
        _row("collect-orphan-signature", [put(BY_1), orphan(BY_1)], [push(BY_1, [LAYER], TAG)], [collect()]),
        _row("collect-referrer", [put(A, OLD)], [PUT_REFERRER], [collect()]),
        _row(
            "collect-finish",
            [push_layer(SENT), append(UPLOAD, SENT)],
            [FINISH],
            [collect()],
            uploads=(UPLOAD,),
        ),
        _row(
            "collect-finish-at-once",
            [push_layer(SENT)],
            [keeping(finish(UPLOAD, SENT, SENT), ("layer", NAME, SENT_DIGEST))],
            [collect()],
            uploads=(UPLOAD,),
        ),
        _row(
            "collect-collect-push",
            [put(WITH_LAYER, OLD)],
            PUSHES,
            [collect()],
            [collect(again=True)],
            large=True,
            runs=(LOST_RUNS, DEATH_RUNS),
        ),
        _row("collect-dies-layer", [], [PUSH_LAYER], [collect()], runs=(LOST_RUNS, DEATH_RUNS)),
        _row("collect-dies-push", [put(WITH_LAYER, OLD)], PUSHES, [collect()], runs=(LOST_RUNS, DEATH_RUNS)),
        _row(
            "collect-dies-tag",
            [put(WITH_LAYER, OLD)],
            [_tagged(TAG, WITH_LAYER.digest)],
            [collect()],
            runs=(LOST_RUNS, DEATH_RUNS),
        ),
        _row("collect-delete-digest", [put(A, TAG), put(B, OLD)], [delete(A.digest)], [collect()]),
    )
}
EVERY = {**SCENARIOS, **RUNS}
