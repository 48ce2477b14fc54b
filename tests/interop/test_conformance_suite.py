"""The OCI's conformance program against the server: every group, nothing failed, nothing unsupported."""

import asyncio
from pathlib import Path

import pytest

from revstore_async import Policy, Registry
from revstore_async.server import RegistryApp
from tests.parts.conformance import Report, conformance
from tests.parts.serving import replicas, serving

POLICIES = pytest.mark.parametrize("sparse", [True, False], ids=["absent blobs allowed", "blobs checked"])


def judge(report: Report, *, sparse: bool) -> None:
    assert report.others == {}, report.output
    assert report.code == 0, report.output
    assert len(report.passed) > 300  # some groups are left out where blobs are checked


@POLICIES
async def test_a_server_conforms(store_url: str, tmp_path: Path, sparse: bool) -> None:
    async with Registry.open(store_url, policy=Policy(check_layers=not sparse)) as registry:
        async with serving(RegistryApp(registry)) as server:
            report = await asyncio.to_thread(conformance, server.host, tmp_path, sparse=sparse)
    judge(report, sparse=sparse)


@pytest.mark.parametrize("store_url", ["file", "s3"], indirect=True)
async def test_two_replicas_conform_that_take_turns(store_url: str, tmp_path: Path) -> None:
    async with replicas(store_url, 2, policy=Policy(check_layers=False)) as balancer:
        report = await asyncio.to_thread(conformance, balancer.host, tmp_path, sparse=True)
    judge(report, sparse=True)
