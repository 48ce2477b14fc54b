"""A page of a repository's tags in the order of their names, from a listing in the order of keys.

The two orders differ: a tag's keys begin with its name and a `/`, which sorts after `-` and `.`. So `v1-rc` and
`v1.0` are listed before `v1`, whose name comes first; and between them may lie any number of tags. Names are
out of place in this way only: one that is listed late begins a name that was listed before, which goes on with
`-` or `.`. Where a scan stops, the names that may still come too late are therefore few, and are known from
the place alone; they are asked about together instead of scanning on.

A tag is there when its current link is, and that is no delete marker: a link of a marker's size is read.
Listing the folders below `tags` instead would be fewer keys, but would show a tag whose first writer crashed
before it set it, or whose deletion is not over.

A store that lists in an order of its own is listed whole, for each page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..arguments import check_type
from ..concurrency import gather_map
from ..driver import LIST_LIMIT, Driver, FileInfo, entries
from ..errors import InvalidArgument, InvalidTag, KeyNotFound
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, TagCurrent, TagIndex
from .current import MARKER_SIZE, md5_of_link, read_current


@dataclass(frozen=True, slots=True)
class TagInfo:
    """A tag as a listing tells of it.

    Attributes:
        tag: Its name.
        modified: When it was set, by the store's clock.
        digest: The revision that it points at, if the listing tells it; None otherwise, and `TagStore.resolve`
            reads it. The listing tells it where the store's ETag is the MD5 of an object's content, as on S3
            without KMS, or where the tag has had one revision only. It does not tell it of a tag with so many
            revisions that one request can't list them, nor of the few tags that the page asks about by name.
    """

    tag: Tag
    modified: datetime
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class TagPage:
    """One page of a repository's tags.

    Attributes:
        tags: In the lexical order of their names.
        next: What to pass as `last` for the page that follows; None after the last one.
    """

    tags: tuple[TagInfo, ...]
    next: Tag | None


async def list_tags(
    driver: Driver, layout: Layout, name: RepositoryName, *, limit: int, last: Tag | None
) -> TagPage:
    """Return one page; see `TagStore.list`."""
    check_type("limit", limit, int)
    if limit < 0:
        raise InvalidArgument("limit", limit, "it is below 0")
    if limit == 0:  # OCI distribution spec, "Listing Tags": an empty list, and no way to the next
        return TagPage((), None)
    scan = _Scan(driver, layout, name, last)
    if not driver.capabilities.ordered_listing:
        await scan.all()
    while not scan.over and len(scan.found) <= limit:
        await scan.go_on()
        if len(scan.found) > limit >= len(scan.certain()):
            await scan.ask_about_late_names()
    names = sorted(scan.found)
    tags = tuple(scan.told(tag) for tag in names[:limit])
    return TagPage(tags, tags[-1].tag if len(names) > limit else None)


@dataclass(slots=True)
class _Scan:
    driver: Driver
    layout: Layout
    name: RepositoryName
    last: Tag | None
    found: dict[Tag, FileInfo] = field(default_factory=dict)
    indexed: dict[Tag, list[tuple[Digest, datetime]]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # tags of whose index the scan has seen a part
    asked: set[Tag] = field(default_factory=set)
    place: str | None = None
    over: bool = False

    def __post_init__(self) -> None:
        if self.last is not None:  # every later name has its keys after this, though not after its own keys
            self.place = f"{self.folder}/{self.last}"

    @property
    def folder(self) -> str:
        return self.layout.tags_of(self.name)

    async def all(self) -> None:
        await self.note([info async for info in entries(self.driver.list_all, self.folder)])
        self.over = True

    async def note(self, listed: Sequence[FileInfo]) -> None:
        """Take up the tags among listed objects."""
        unsure: list[Tag] = []
        for info in listed:
            place = self.layout.parse(info.key)
            if not isinstance(place, TagCurrent | TagIndex) or (
                self.last is not None and place.tag <= self.last
            ):
                continue
            if isinstance(place, TagIndex):
                self.indexed.setdefault(place.tag, []).append((place.digest, info.modified))
                continue
            if info.size == MARKER_SIZE:
                unsure.append(place.tag)
            self.found[place.tag] = info
        at_once = self.driver.capabilities.connections
        for tag, there in zip(unsure, await gather_map(self.is_there, unsure, limit=at_once), strict=True):
            if not there:
                del self.found[tag]

    async def is_there(self, tag: Tag) -> bool:
        """Return whether a current link is that of a tag, and no delete marker."""
        return (await read_current(self.driver, self.layout.key(TagCurrent(self.name, tag)))).is_there

    async def go_on(self) -> None:
        page = await self.driver.list_all(self.folder, start_after=self.place, limit=LIST_LIMIT)
        await self.note(page.entries)
        self.place = page.next
        self.over = page.next is None
        if page.next is not None:
            tag, _, rest = page.next.removeprefix(f"{self.folder}/").partition("/")
            self.cut.add(tag)
            if rest.startswith("index/"):  # its current link is behind; what else it had may be long
                self.place = f"{self.folder}/{tag}/index/~"

    def told(self, tag: Tag) -> TagInfo:
        """Return what the listing tells of a found tag."""
        link, indexed = self.found[tag], self.indexed.get(tag, [])
        digest = next((each for each, _ in indexed if md5_of_link(each) == link.etag), None)
        if digest is None and len(indexed) == 1 and tag not in self.cut:
            # A writer at work writes the index first. A tag whose index is lost would then have the wrong one.
            (only, since) = indexed[0]
            resolution = self.driver.capabilities.time_resolution
            margin = resolution if resolution >= timedelta(seconds=1) else timedelta(0)
            digest = only if since + margin <= link.modified else None
        return TagInfo(tag, link.modified, digest)

    def late_names(self) -> set[Tag]:
        """Names that may lie behind the place where the scan stands, and come before found ones."""
        if self.place is None:
            return set()
        reached = self.place.removeprefix(f"{self.folder}/").partition("/")[0]
        late = set()
        for end, character in enumerate(reached):
            if character in "-.":
                try:
                    tag = Tag(reached[:end])
                except InvalidTag:
                    continue
                if self.last is None or tag > self.last:
                    late.add(tag)
        return late - self.asked - self.found.keys()

    def certain(self) -> list[Tag]:
        """Found names before which none can be missing."""
        first = min(self.late_names(), default=None)
        return [tag for tag in self.found if first is None or tag < first]

    async def ask_about_late_names(self) -> None:
        late = self.late_names()
        await gather_map(self._ask, late, limit=self.driver.capabilities.connections)
        self.asked |= late

    async def _ask(self, tag: Tag) -> None:
        try:
            info = await self.driver.stat(self.layout.key(TagCurrent(self.name, tag)))
        except KeyNotFound:
            return
        await self.note([info])
