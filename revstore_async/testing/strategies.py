"""Strategies of hypothesis: keys, prefixes, positions in listings, contents, and names of the OCI grammar."""

from hypothesis import strategies as st

from revstore_async.driver import KEY_LIMIT, PART_LIMIT

_LETTERS = "abAB01._-"  # few letters, so that keys meet, among them those around "/" in the order of bytes


def parts() -> st.SearchStrategy[str]:
    """Return a strategy of the parts of keys: most of them short and alike, a few of the greatest length."""
    short = st.text(_LETTERS, min_size=1, max_size=4)
    long = st.builds(
        lambda part, letter: (part + letter * PART_LIMIT)[:PART_LIMIT], short, st.sampled_from("az")
    )
    return st.one_of(short, short, short, long).filter(lambda part: part not in {".", ".."})


def keys(max_parts: int = 4) -> st.SearchStrategy[str]:
    """Return a strategy of keys that often share folders, and sometimes are folders of each other."""
    drawn = st.lists(parts(), min_size=1, max_size=max_parts).map("/".join)
    return drawn.filter(lambda key: len(key) <= KEY_LIMIT)


def prefixes() -> st.SearchStrategy[str]:
    """Return a strategy of the prefixes of listings; the empty one is the whole store."""
    return st.one_of(st.just(""), keys(2))


def positions() -> st.SearchStrategy[str]:
    """Return a strategy of texts for `start_after`: keys, folders with their `/`, any text."""
    return st.one_of(keys(), keys().map(lambda key: key + "/"), st.text(max_size=5))


def contents() -> st.SearchStrategy[bytes]:
    """Return a strategy of contents, some of them empty."""
    return st.binary(max_size=40)


def repository_names() -> st.SearchStrategy[str]:
    """Return a strategy of repository names of the OCI grammar."""
    name = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    return st.from_regex(name, fullmatch=True).filter(lambda drawn: len(drawn) <= 255)


def tags() -> st.SearchStrategy[str]:
    """Return a strategy of tags of the OCI grammar."""
    return st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


def digests() -> st.SearchStrategy[str]:
    """Return a strategy of SHA-256 digests, of no known content."""
    return st.binary(min_size=32, max_size=32).map(lambda drawn: f"sha256:{drawn.hex()}")
