"""How each code block of each document is tested. A block that the table lacks fails `test_table`."""

from enum import Enum, auto

from tests.parts.document_blocks import ROOT, Block, blocks_of


class Kind(Enum):
    """How a block is tested."""

    PROGRAM = auto()
    """A program. `test_programs` runs it in an empty folder."""
    SERVER = auto()
    """A program that makes an `app`. `test_servers` serves it by uvicorn, and checks its behaviour."""
    TESTS = auto()
    """A module of tests. Its own test runs it; `ELSEWHERE` names that."""
    TRANSCRIPT = auto()
    """Commands with their output. `test_transcripts` runs them one after another, and compares the output."""
    COMMANDS = auto()
    """Commands without output. `test_commands` runs them, but for those that it lists as impossible here."""
    SYNOPSIS = auto()
    """The arguments of a command. `test_options` compares them with those that the command takes."""
    SHAPE = auto()
    """Keys, URLs, JSON, and parts of programs. `test_shapes` compares them with what the code makes or takes."""


TABLE: dict[str, list[tuple[Kind, str]]] = {
    "CONTRIBUTING.md": [
        (Kind.COMMANDS, "make test "),
        (Kind.COMMANDS, "REVSTORE_TEST_SEAWEEDFS=1 "),
        (Kind.COMMANDS, "make explore"),
        (Kind.COMMANDS, "make soak"),
    ],
    "README.md": [
        (Kind.COMMANDS, "make demo "),
        (Kind.COMMANDS, "make serve "),
        (Kind.COMMANDS, "skopeo copy "),
        (Kind.PROGRAM, "import asyncio"),
        (Kind.COMMANDS, "export REVSTORE_STORE="),
    ],
    "bench/README.md": [],
    "docs/api.md": [],
    "docs/cli.md": [
        (Kind.SYNOPSIS, "revstore [--store URL]"),
        (Kind.SYNOPSIS, "revstore key new"),
        (Kind.TRANSCRIPT, "$ revstore key new"),
        (Kind.SYNOPSIS, "revstore sign"),
        (Kind.TRANSCRIPT, "$ cat manifest.json"),
        (Kind.SYNOPSIS, "revstore merge"),
        (Kind.TRANSCRIPT, "$ revstore merge"),
        (Kind.SYNOPSIS, "revstore put"),
        (Kind.TRANSCRIPT, "$ export REVSTORE_STORE="),
        (Kind.SYNOPSIS, "revstore get"),
        (Kind.TRANSCRIPT, "$ revstore get"),
        (Kind.SYNOPSIS, "revstore verify"),
        (Kind.TRANSCRIPT, "$ revstore verify"),
        (Kind.TRANSCRIPT, "$ revstore key new"),
        (Kind.SYNOPSIS, "revstore tag"),
        (Kind.TRANSCRIPT, "$ revstore tag"),
        (Kind.SYNOPSIS, "revstore tags"),
        (Kind.TRANSCRIPT, "$ revstore tags"),
        (Kind.SYNOPSIS, "revstore history"),
        (Kind.TRANSCRIPT, "$ echo "),
        (Kind.SYNOPSIS, "revstore ls"),
        (Kind.TRANSCRIPT, "$ revstore ls"),
        (Kind.SYNOPSIS, "revstore rm"),
        (Kind.TRANSCRIPT, "$ revstore rm"),
        (Kind.SYNOPSIS, "revstore purge"),
        (Kind.TRANSCRIPT, "$ revstore purge"),
        (Kind.SYNOPSIS, "revstore gc plan"),
        (Kind.TRANSCRIPT, "$ revstore gc plan"),
        (Kind.SYNOPSIS, "revstore gc status"),
        (Kind.TRANSCRIPT, "$ revstore gc bounds"),
        (Kind.SYNOPSIS, "revstore du"),
        (Kind.TRANSCRIPT, "$ revstore du"),
        (Kind.SYNOPSIS, "revstore why"),
        (Kind.TRANSCRIPT, "$ revstore why"),
        (Kind.SYNOPSIS, "revstore retention explain"),
        (Kind.TRANSCRIPT, "$ echo "),
        (Kind.SYNOPSIS, "revstore doctor"),
        (Kind.TRANSCRIPT, "$ revstore doctor"),
        (Kind.SYNOPSIS, "revstore serve"),
        (Kind.TRANSCRIPT, "$ revstore serve"),
        (Kind.TRANSCRIPT, "$ revstore serve"),
    ],
    "docs/collector.md": [
        (Kind.COMMANDS, "revstore gc plan"),
        (Kind.COMMANDS, "revstore gc enable"),
        (Kind.COMMANDS, "revstore serve --gc"),
        (Kind.COMMANDS, "revstore gc bounds"),
        (Kind.SHAPE, 'history = "7d"'),
        (Kind.PROGRAM, "import asyncio"),
    ],
    "docs/concepts.md": [(Kind.SHAPE, "Registry.open(url)")],
    "docs/decisions/0001-drivers-layout.md": [],
    "docs/decisions/0002-tag-history.md": [],
    "docs/decisions/0003-one-function-for-presence.md": [],
    "docs/decisions/0004-tag-listing.md": [],
    "docs/decisions/0005-referrers.md": [],
    "docs/decisions/0006-uploads.md": [],
    "docs/decisions/0007-collector.md": [],
    "docs/decisions/README.md": [],
    "docs/drivers.md": [
        (Kind.SHAPE, "memory:  "),
        (Kind.SHAPE, "memory:"),
        (Kind.PROGRAM, "import asyncio"),
        (Kind.SHAPE, "file:FOLDER"),
        (Kind.SHAPE, "s3://BUCKET"),
        (Kind.COMMANDS, "export AWS_ACCESS_KEY_ID="),
        (Kind.SHAPE, "obstore+s3://BUCKET"),
        (Kind.SHAPE, "[project.entry-points."),
    ],
    "docs/embedding.md": [(Kind.PROGRAM, "import asyncio")] * 12,
    "docs/http.md": [
        (Kind.COMMANDS, "etag=$(curl "),
        (Kind.SHAPE, '{"schemaVersion": 2'),
        (Kind.SHAPE, "GET  /v2/<name>/_revstore"),
        (Kind.TESTS, "import httpx"),
    ],
    "docs/operations.md": [(Kind.PROGRAM, "import asyncio"), (Kind.SHAPE, '{"time": ')],
    "docs/performance.md": [(Kind.COMMANDS, "make bench ")],
    "docs/quickstart.md": [
        (Kind.COMMANDS, "pip install "),
        (Kind.COMMANDS, "skopeo copy "),
        (Kind.COMMANDS, "skopeo copy "),
        (Kind.COMMANDS, "docker tag "),
        (Kind.COMMANDS, "curl "),
        (Kind.COMMANDS, "htpasswd "),
        (Kind.COMMANDS, "pip install "),
        (Kind.SHAPE, "RegistryApp("),
    ],
    "docs/security.md": [
        (Kind.SERVER, "from revstore_async import Registry"),
        (Kind.SERVER, "from revstore_async import Registry"),
        (Kind.SHAPE, "async def fetch()"),
    ],
    "docs/storage-format.md": [
        (Kind.SHAPE, "docker/registry/"),
        (Kind.SHAPE, "    _uploads/<id>"),
        (Kind.SHAPE, "blobs/tarsum/"),
        (Kind.SHAPE, "stable/999999999/"),
        (Kind.SHAPE, '{"formatLength"'),
        (Kind.SHAPE, '{"header"'),
    ],
    "drivers/README.md": [
        (Kind.SHAPE, "[project.entry-points."),
        (Kind.TESTS, "[tool.pytest"),
        (Kind.TESTS, "import tempfile"),
    ],
}

ELSEWHERE = {
    "docs/http.md": "tests/server/test_registry_fixture.py",
    "drivers/README.md": "tests/drivers/test_drivers_readme.py",
}
"""The tests that run the modules of tests in a document."""


def blocks_to_test(wanted: Kind) -> list[Block]:
    """Return the blocks of all documents that are tested in this way."""
    return [
        block
        for document, rows in TABLE.items()
        for block, (kind, _) in zip(blocks_of(ROOT / document), rows, strict=False)
        if kind is wanted
    ]
