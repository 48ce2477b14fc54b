"""A large blob goes through a process that never holds much of it: the scenario of `bench.memory`, smaller."""

import json
import subprocess
import sys
from pathlib import Path

from bench.memory import UNVERIFIED, UPLOAD, VERIFIED

BOUND = 256
"""MiB that a process may hold above its start, however large the blob is."""


def test_memory_is_bounded_for_any_size_of_a_blob(s3_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.memory", "--store", s3_url, "--size", f"{2 * BOUND}MiB", "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    peaks = {each["direction"]: each["peak_mib"] for each in json.loads(ran.stdout)["transfers"]}
    assert peaks.keys() == {UPLOAD, VERIFIED, UNVERIFIED}
    assert 0 < max(peaks.values()) < BOUND
