"""The circumstances of a run: the machine, and the versions of all its parts."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .processes import ProgramMissing, built

_PACKAGES = (
    "revstore-async",
    "aioboto3",
    "aiobotocore",
    "botocore",
    "aiohttp",
    "obstore",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
)


def machine() -> dict[str, Any]:
    """Return CPU model, cores, memory and kernel, and the machine's load average."""
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that take part, and of the peers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    found["minio"] = _told("minio")
    found["distribution"] = _told("registry")
    return found


def _told(name: str) -> str:
    """Return the version that Go wrote into a program; without Go, the version that the program prints."""
    try:
        binary = built(name)
        if module := _module(binary):
            return module
        ran = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    except (ProgramMissing, subprocess.CalledProcessError):
        return "absent"
    return next(iter(ran.stdout.split()[-1:]), "unknown")


def _module(binary: str) -> str:
    """Return the module's version that Go wrote into a program; empty without Go."""
    try:
        ran = subprocess.run(["go", "version", "-m", binary], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    for line in ran.stdout.splitlines():
        words = line.split()
        if words[:1] == ["mod"]:
            return words[2]
    return ""


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
