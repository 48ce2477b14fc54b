"""The OCI's own conformance program for registries (opencontainers/distribution-spec), and its findings."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from .programs import built, without_aws

_PATIENCE = 100.0


@dataclass(frozen=True, slots=True)
class Report:
    """What it found.

    Attributes:
        code: Its exit code; it is 0 also where the program could not begin.
        passed: The names of the tests that passed.
        others: Those that did not: name, and whether it failed or was skipped, or the program itself erred.
        output: What it printed.
    """

    code: int
    passed: frozenset[str]
    others: dict[str, str]
    output: str


def conformance(host: str, folder: Path, *, sparse: bool) -> Report:
    """Run it against a registry, with all that the next version of the spec has; it blocks.

    Args:
        host: The registry's address and port.
        folder: For its reports.
        sparse: Whether the registry takes manifests whose blobs it lacks.
    """
    choices = {
        "OCI_REGISTRY": host,
        "OCI_TLS": "disabled",
        "OCI_VERSION": "dev",
        "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
        "OCI_DATA_SPARSE": str(sparse).lower(),
        "OCI_RESULTS_DIR": str(folder),
    }
    ran = subprocess.run(
        [built("conformance", "REVSTORE_TEST_CONFORMANCE", on_path=False)],
        env={name: text for name, text in without_aws().items() if not name.startswith("OCI_")} | choices,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    tests = ET.parse(folder / "junit.xml").getroot().iter("testcase")
    found = {test.get("name", ""): test.get("status", "") for test in tests}
    return Report(
        ran.returncode,
        frozenset(name for name, status in found.items() if status == "passed"),
        {name: status for name, status in found.items() if status != "passed"},
        ran.stdout + ran.stderr,
    )
