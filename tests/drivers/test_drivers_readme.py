"""The example of drivers/README.md is whole: a stranger's package passes the suite by it alone."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "drivers" / "README.md"

PACKAGE = """
from pathlib import Path

from revstore_drivers.filesystem import FilesystemDriver


class MyDriver(FilesystemDriver):
    def __init__(self, path):
        super().__init__(path)
        self.path = Path(path)
"""

FEW = """
from hypothesis import settings

settings.register_profile("few", max_examples=2, stateful_step_count=5, deadline=None)
settings.load_profile("few")
"""


def example(language: str) -> str:
    section = README.read_text().partition("\n## Its test\n")[2]
    blocks = re.findall(rf"^```{language}\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_example_is_the_whole_of_it(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(PACKAGE)
    (tmp_path / "conftest.py").write_text(FEW)
    (tmp_path / "pyproject.toml").write_text(example("toml"))
    (tmp_path / "test_my_driver.py").write_text(example("python"))
    chosen = "TestMyDriver and (test_put or test_cancel or test_outside) or TestMachine"
    options = ["-q", "-p", "no:cacheprovider", "-k", chosen]
    command = [sys.executable, "-m", "pytest", *options]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^\d+ passed, \d+ deselected", found.stdout, flags=re.MULTILINE), found.stdout
