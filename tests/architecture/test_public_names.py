"""What is public: its names, their documentation, their types, and what the package says of itself."""

import ast
import inspect
import sys
import tomllib
import typing
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import revstore_async
from revstore_async import collector, driver, errors, layout, server, signatures, testing

ROOT = Path(__file__).parents[2]

PUBLIC = {
    "ABSENT",
    "Absent",
    "AnyOf",
    "BinaryFile",
    "BlobInfo",
    "BlobReader",
    "BlobStore",
    "CURRENT",
    "Chain",
    "Collector",
    "Content",
    "DeletionProgress",
    "Descriptor",
    "Digest",
    "Driver",
    "Explanation",
    "Going",
    "KeyKind",
    "LayerInfo",
    "LayerStore",
    "Layout",
    "Manifest",
    "ManifestDocument",
    "ManifestService",
    "Plan",
    "Policy",
    "Progress",
    "PublicKey",
    "PullTimes",
    "Reasons",
    "Reference",
    "Referrer",
    "ReferrerPage",
    "ReferrerStore",
    "Registry",
    "Repository",
    "RepositoryName",
    "RepositoryUsage",
    "Retention",
    "Revision",
    "RevisionInfo",
    "RevisionStore",
    "RevstoreError",
    "Rule",
    "SEED",
    "Signature",
    "Signatures",
    "SignedDocument",
    "SigningKey",
    "Staying",
    "StoredKind",
    "StoredManifest",
    "Tag",
    "TagEvent",
    "TagHistoryPage",
    "TagInfo",
    "TagPage",
    "TagRule",
    "TagStore",
    "TrustPolicy",
    "TrustedCertificates",
    "TrustedKeys",
    "Upload",
    "UploadStore",
    "Usage",
    "__version__",
    "errors",
    "merge",
    "open_driver",
    "parse_signatures",
    "read_manifest",
    "serialise",
    "serialise_signatures",
    "sign",
    "tags_matching",
    "verify_document",
}
"""The public names of `revstore_async`. A name that goes is told in the changelog."""

MODULES: list[ModuleType] = [revstore_async, collector, driver, layout, server, signatures, testing]
"""The modules whose names in `__all__` are public, beside the classes of `errors`."""

PASSED_ON = {
    "AroundApp": "a function of the program",
    "Exchange": "a request under way, for wrappers of the server's own",
    "Kind": "an enumeration that the plan of a collection shows",
    "Link": "for the engine's own packages",
    "Pattern": "made by `Rule`",
    "Served": "an ASGI application",
    "Window": "for the engine's own packages",
    "Versioned": "what a driver tells of an object",
    "_Listing": "a bound method of a driver",
}
"""Classes that public signatures name, and that programs need not name, each with the reason."""


def test_the_public_names_are_these():
    assert set(revstore_async.__all__) == PUBLIC


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_each_public_name_is_there_once_in_order(module: ModuleType):
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), name


def defined(module: ModuleType, name: str) -> tuple[ModuleType, ast.Module]:
    """Return the module that assigns a value which the public module imports, and its tree."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            return defined(sys.modules[f"{package}.{node.module}" if node.module else package], name)
    return module, tree


def values() -> Iterator[tuple[ModuleType, str]]:
    for module in MODULES:
        for name in module.__all__:
            thing = getattr(module, name)
            plain = not (inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing))
            if plain and not name.startswith("__"):
                yield module, name


@pytest.mark.parametrize(("module", "name"), [*values()], ids=[name for _, name in values()])
def test_each_public_value_is_documented_where_it_is_defined(module: ModuleType, name: str):
    _, tree = defined(module, name)
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id == name:
            assert isinstance(after, ast.Expr), name
            assert isinstance(after.value, ast.Constant), name
            return
    pytest.fail(f"{name} is not assigned in a module")


def classes_in(hint: object) -> Iterator[type]:
    """Yield each class that an annotation names."""
    if isinstance(hint, list):
        for each in hint:
            yield from classes_in(each)
        return
    for each in typing.get_args(hint):
        yield from classes_in(each)
    origin = typing.get_origin(hint) or hint
    if inspect.isclass(origin):
        yield origin


def callables(name: str, thing: object) -> Iterator[tuple[str, object]]:
    if inspect.isfunction(thing):
        yield name, thing
    elif inspect.isclass(thing) and not issubclass(thing, BaseException):
        yield name, thing
        for member, value in inspect.getmembers(thing, inspect.isroutine):
            ours = (getattr(value, "__module__", None) or "").startswith("revstore_async")
            if not member.startswith("_") and ours:
                yield f"{name}.{member}", value


def test_programs_can_name_the_types_of_all_that_is_public():
    public = {id(getattr(module, name)) for module in MODULES for name in module.__all__}
    public |= {id(each) for _, each in inspect.getmembers(errors, inspect.isclass)}
    seen: set[str] = set()
    for module in MODULES[:-1]:
        for name in module.__all__:
            for where, thing in callables(name, getattr(module, name)):
                for argument, hint in typing.get_type_hints(thing).items():
                    if argument.startswith("_"):
                        continue
                    for each in classes_in(hint):
                        if each.__module__.startswith("revstore_async") and id(each) not in public:
                            assert each.__name__ in PASSED_ON, f"{where}: {each.__module__}.{each.__name__}"
                            seen.add(each.__name__)
    assert seen == PASSED_ON.keys()


def test_the_version_is_the_package_s():
    assert revstore_async.__version__ == version("revstore-async")


def test_the_package_says_what_is_true_of_it():
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Typing :: Typed" in said["classifiers"]
    assert "Framework :: AsyncIO" in said["classifiers"]
    assert "Framework :: AnyIO" not in said["classifiers"]  # trio is not supported
    assert f"Programming Language :: Python :: 3.{sys.version_info.minor}" in said["classifiers"]
    assert said["license"] == "Apache-2.0"
    assert said["requires-python"] == ">=3.11"
