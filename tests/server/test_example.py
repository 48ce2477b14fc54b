"""The embedding example in the documents, run as it stands, with a real client."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from tests.parts.programs import free_port, program, wait_until, without_aws

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "fastapi_registry.py"
HELLO = ROOT / "docs" / "examples" / "hello"


def answers(url: str) -> bool:
    try:
        with urlopen(url) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_program_of_under_25_lines_is_a_registry(tmp_path: Path):
    assert len(EXAMPLE.read_text().splitlines()) < 25
    skopeo, port, log = program("skopeo"), free_port(), tmp_path / "log"
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "--app-dir", str(EXAMPLE.parent)]
    command += ["fastapi_registry:app", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, env=without_aws(), stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/v2/"), process, log)
        copy = [skopeo, "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{HELLO}"]
        subprocess.run([*copy, f"docker://127.0.0.1:{port}/library/hello:latest"], check=True)
        with urlopen(f"{url}/v2/library/hello/tags/list") as answer:
            assert json.load(answer) == {"name": "library/hello", "tags": ["latest"]}
        with urlopen(f"{url}/hello") as answer:
            assert json.load(answer) == "a route of the program's own"
    finally:
        process.terminate()
        process.wait()
    assert (tmp_path / "images" / "docker" / "registry").is_dir()
    assert "Traceback" not in log.read_text()
