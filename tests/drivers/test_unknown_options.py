"""An option or scheme that is not known: the error names all that are, however many."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from importlib.metadata import entry_points
from pickle import dumps, loads

import pytest

from revstore_async.driver import GROUP, Driver, open_driver
from revstore_async.errors import InvalidStoreURL
from revstore_drivers.object_store import ObjectStoreDriver, ObjectStoreOptions
from revstore_drivers.s3 import S3Driver, S3Options

S3_OPTIONS = {field.name for field in fields(S3Options) if field.metadata}


@pytest.mark.parametrize(
    ("make", "offered"),
    [
        (lambda: S3Driver("bucket", poool=1), S3_OPTIONS),
        (lambda: open_driver("s3://bucket?poool=1"), S3_OPTIONS),
        (lambda: open_driver("s3://bucket", poool=1), S3_OPTIONS),
        (
            lambda: ObjectStoreDriver("obstore+s3://bucket", poool=1),
            {"pool", "part_size", "metadata_timeout"},
        ),
        (lambda: open_driver("file:///tmp?poool=1"), {"threads", "metadata_timeout"}),
        (lambda: open_driver("poool://bucket"), entry_points(group=GROUP).names),
        (lambda: ObjectStoreOptions.from_url("poool://bucket", {}), {"obstore+s3", "gs", "az"}),
    ],
)
def test_the_error_names_each_that_is_known(make: Callable[[], Driver], offered: Iterable[str]) -> None:
    with pytest.raises(InvalidStoreURL) as caught:
        make()
    told = str(caught.value).rpartition("there are: ")[2].split(", ")
    assert {*offered} <= {*told}
    assert {*told} == caught.value.offered
    assert str(loads(dumps(caught.value))) == str(caught.value)


def test_a_driver_without_options_says_so() -> None:
    with pytest.raises(InvalidStoreURL, match="'poool' is not known; there are no options"):
        open_driver("memory:?poool=1")


def test_a_long_name_is_cut_and_the_known_ones_are_not() -> None:
    with pytest.raises(InvalidStoreURL) as caught:
        open_driver("s3://bucket", **{"x" * 100_000: 1})
    assert len(str(caught.value)) < 1500
    assert "metadata_timeout" in str(caught.value)
