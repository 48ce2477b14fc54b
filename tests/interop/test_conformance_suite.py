"""The OCI's conformance program against the server: every group, nothing failed, nothing skipped."""

import asyncio
from pathlib import Path

import pytest

from revstore_async import Policy, Registry
from revstore_async.server import RegistryApp
from tests.parts.conformance import Report, conformance
from tests.parts.serving import replicas, serving

SPARSE = Policy(check_layers=False)
"""The program pushes manifests without their blobs, too, where it is told that a registry takes them."""


def judge(report: Report, tests: int) -> None:
    assert report.others == {}, report.output
    assert report.code == 0, report.output
    assert len(report.passed) >= tests


async def test_a_server_conforms(store_url: str, tmp_path: Path) -> None:
    async with Registry.open(store_url, policy=SPARSE) as registry:
        async with serving(RegistryApp(registry)) as server:
            judge(await asyncio.to_thread(conformance, server.host, tmp_path, sparse=True), 410)


async def test_a_server_that_checks_for_blobs_conforms(tmp_path: Path) -> None:
    async with Registry.open("memory:") as registry:
        async with serving(RegistryApp(registry)) as server:
            judge(await asyncio.to_thread(conformance, server.host, tmp_path, sparse=False), 380)


@pytest.mark.parametrize("store_url", ["file", "s3"], indirect=True)
async def test_two_replicas_conform_that_take_turns(store_url: str, tmp_path: Path) -> None:
    async with replicas(store_url, 2, policy=SPARSE) as balancer:
        judge(await asyncio.to_thread(conformance, balancer.host, tmp_path, sparse=True), 410)
