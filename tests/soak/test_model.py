"""The model of the soak notices a wrong value of a tag."""

import pytest

from revstore_async import Digest
from tests.soak.clients import VOLATILE
from tests.soak.model import LANDS_WITHIN, Model

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))
NAME = ("soak/one", "t0")


@pytest.fixture
def model() -> Model:
    return Model()


def test_a_tag_that_was_never_written_is_absent(model: Model) -> None:
    assert model.values(*NAME, 1, 2) == {None}


def test_a_tag_has_the_value_of_the_last_write(model: Model) -> None:
    tag = model.tag(*NAME)
    tag.acknowledge(tag.begin(A, 1), 2)
    tag.acknowledge(tag.begin(B, 3), 4)
    assert model.values(*NAME, 5, 6) == {B}
    assert model.values(*NAME, 2.5, 2.6) == {A}


def test_a_read_beside_a_write_finds_either_value(model: Model) -> None:
    tag = model.tag(*NAME)
    tag.acknowledge(tag.begin(A, 1), 2)
    tag.begin(B, 3)
    assert model.values(*NAME, 2.5, 4) == {A, B}


def test_writes_at_once_may_end_in_either_order(model: Model) -> None:
    tag = model.tag(*NAME)
    first, second = tag.begin(A, 1), tag.begin(B, 1.5)
    tag.acknowledge(second, 2)
    tag.acknowledge(first, 3)
    assert model.values(*NAME, 4, 5) == {A, B}


def test_a_write_whose_answer_was_lost_has_its_effect_or_never(model: Model) -> None:
    tag = model.tag(*NAME)
    tag.acknowledge(tag.begin(A, 1), 2)
    lost = tag.begin(B, 3)
    tag.lose(lost, 4)
    assert model.values(*NAME, 10, 11) == {A, B}
    later = 4 + LANDS_WITHIN + 1
    tag.acknowledge(tag.begin(C, later), later + 1)
    assert model.values(*NAME, later + 2, later + 3) == {C}


def test_a_write_that_was_refused_has_no_effect(model: Model) -> None:
    tag = model.tag(*NAME)
    tag.acknowledge(tag.begin(A, 1), 2)
    tag.refuse(tag.begin(B, 3))
    assert model.values(*NAME, 4, 5) == {A}


def test_a_read_that_began_long_ago_is_judged_by_the_writes_of_its_time(model: Model) -> None:
    tag = model.tag(*NAME)
    for number in range(200):
        tag.acknowledge(tag.begin(A if number % 2 else B, number), number + 0.5)
    assert model.values(*NAME, 180.6, 200) == {A, B}
    assert len(tag.writes) < 100


def test_an_expired_tag_may_be_there_or_absent(model: Model) -> None:
    tag = model.tag(*NAME, expires=10)
    tag.acknowledge(tag.begin(A, 1), 2)
    assert model.values(*NAME, 9, 10) == {A}
    assert model.values(*NAME, 12, 13) == {A, None}


def test_a_deletion_by_digest_takes_the_tag_only_if_it_is_not_over_before_the_write(model: Model) -> None:
    tag = model.tag(VOLATILE, "t0")
    tag.acknowledge(tag.begin(A, 1), 2)
    model.begin_deletion(VOLATILE, A)
    assert model.values(VOLATILE, "t0", 3, 4) == {A, None}
    model.end_deletion(VOLATILE, A, 4)
    tag.acknowledge(tag.begin(A, 5), 6)
    assert model.values(VOLATILE, "t0", 7, 8) == {A}
