"""Two minutes of the soak, with all that the long one has."""

from pathlib import Path

import pytest

from tests.parts.minio import running

from .report import run_and_report
from .soak import Options


@pytest.mark.timeout(900)
async def test_clients_lose_nothing_by_a_collector_at_work_faults_and_kills(tmp_path: Path) -> None:
    with running(tmp_path) as minio:
        report = await run_and_report(minio, tmp_path, Options(seconds=120.0))
    assert report.failures == [], "\n".join(report.lines)
    print("\n".join(report.lines))
