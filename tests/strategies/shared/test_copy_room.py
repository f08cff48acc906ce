"""Memory in text, and copies that sets share."""

from math import inf

import pytest
from doubles.written_lab import plain_costs, with_low_bits

from specframe.errors import InvalidConfig
from specframe.strategies.shared.searching.copy_room import CopyRoom, in_bytes
from specframe.types import SkipSet

COSTS = with_low_bits(plain_costs(4), 0.4)  # each copy takes 10 bytes
NONE = SkipSet.none(4)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", inf),
        ("0", 0),
        (200_000_000, 200_000_000),
        ("200MB", 200_000_000),
        ("1.5 GiB", 3 << 29),
        ("64kb", 64_000),
        ("7b", 7),
    ],
)
def test_a_size_is_read_in_bytes(text, wanted):
    assert in_bytes("Some", "memory", text) == wanted


@pytest.mark.parametrize(
    "text", ["lots", "-3MB", -1, "5 parsecs", "MB", "nan", "inf", "1e9", " ", "2,5GB"]
)
def test_nonsense_is_refused_with_what_is_allowed(text):
    with pytest.raises(InvalidConfig, match=r"'memory' parameter of Some must be bytes .* 200MB"):
        in_bytes("Some", "memory", text)


def test_sets_share_copies_of_one_width_and_not_of_two():
    room = CopyRoom(COSTS, 50).holding(NONE.lower(4, [0, 1], head=False))
    assert room.left == 30
    assert room.holding(NONE.lower(4, [1, 2], head=True)).left == 10
    assert room.holding(NONE.lower(8, [1, 2], head=True)).left == 0
    assert room.holding(NONE.flip(3)) == room
    assert room.allows(NONE.lower(4, [0, 1, 2, 3, 4], head=False))
    assert not room.allows(NONE.lower(8, [0, 1, 2, 3], head=False))
    assert CopyRoom(COSTS).allows(NONE.lower(8))


def test_missing_bytes_are_those_of_copies_that_are_not_held():
    room = CopyRoom(COSTS, 500).holding(NONE.lower(4, [0, 5]))
    assert room.missing_bytes(4) == ((0, 10, 10, 10, 10, 0, 10, 10), 0)
    assert room.missing_bytes(8) == ((10,) * 8, 10)
