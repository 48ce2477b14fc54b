"""The map of the source in CONTRIBUTING.md is whole, and the folders of tests stand in their table."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
MAP = TEXT[TEXT.index("## Map of the source") : TEXT.index("## Tests")]
ROWS = dict(re.findall(r"^\| `([\w/]+/)` \| (.*) \|$", MAP, re.MULTILINE))


def test_each_module_of_the_source_stands_in_the_row_of_its_folder() -> None:
    missing = []
    for root in ("revstore_async", "drivers/revstore_drivers"):
        for path in (ROOT / root).rglob("*.py"):
            folder = path.parent.relative_to(ROOT).as_posix() + "/"
            if not path.name.startswith("__") and f"`{path.name}`" not in ROWS.get(folder, ""):
                missing.append(f"{folder}{path.name}")
    assert not missing, "say in CONTRIBUTING.md, in the row of its folder, what each of these modules does"


def test_each_module_that_the_map_names_exists() -> None:
    for folder, modules in ROWS.items():
        for name in re.findall(r"`([\w/]+\.py)`", modules):
            assert (ROOT / folder / name).is_file(), f"{folder}{name}"
    for path in re.findall(r"`((?:revstore_async|drivers)/[\w/]*\.py)`", MAP):
        assert (ROOT / path).is_file(), path


def test_each_folder_of_tests_stands_in_its_table() -> None:
    rows = "".join(re.findall(r"^\| (.*?) \|", TEXT[TEXT.index("## Tests") :], re.MULTILINE))
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and not folder.name.startswith("_"):
            assert re.search(rf"\b{folder.name}`", rows), folder.name
