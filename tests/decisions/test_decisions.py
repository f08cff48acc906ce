"""Every strategy decides what was recorded of it, round by round; `record` says how to record."""

import json
from math import isclose

import pytest
from decisions.record import RECORDED, RUNS, decisions, ids

# calibrated as others are, or with another's planner
LIKE_OTHERS = ("cascade", "knap-knn", "knn-ssd", "layerskip", "oracle", "uniform-")
CLOSE = 1e-5  # of recorded numbers, relative: other processors sum in another order


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def in_parts():
    """First runs in the best presets on the smallest model are fast; then all of everything."""
    for name in ids():
        best = name.endswith(":best@planted-4")
        if best and "+draft_" not in name and not name.startswith(LIKE_OTHERS):
            yield pytest.param(name, RUNS[:1], id=f"{name}-first")
        yield pytest.param(name, RUNS, id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "runs"), list(in_parts()))
def test_decisions_are_the_recorded_ones(recorded, name, runs):
    wanted, found = recorded[name], decisions(name, runs)
    assert same(found["figures"], wanted["figures"]), (
        f"{name} learnt {found['figures']} from calibration, and {wanted['figures']} when recorded"
    )
    for run in runs:
        assert not (told := first_difference(found[run], wanted[run])), f"{name}, {run}: {told}"


def test_nothing_else_is_recorded(recorded):
    assert list(recorded) == ids()


def test_a_difference_is_told_by_its_round():
    rounds = [[[], 0, 0, [5]], [["3c", 8, 0.6], 2, 1, [6, 7]]]
    assert not first_difference(rounds, [rounds[0], [["3c", 8, 0.6 + 1e-9], 2, 1, [6, 7]]])
    assert "round 1" in first_difference(rounds, [rounds[0], [["3c", 8, 0.7], 2, 1, [6, 7]]])
    assert "round 1" in first_difference(rounds, rounds[:1])


def first_difference(found, wanted):
    """What to say of the first round that is not as recorded; nothing where all are."""
    for number in range(max(len(found), len(wanted))):
        now, then = (rounds[number] if number < len(rounds) else None for rounds in (found, wanted))
        if not same(now, then):
            return (
                f"round {number} is {now} and was {then} "
                f"(plan: skipped bits in hex, longest draft, confidence, gain, tree, copied, "
                f"headed; drafted; accepted; tokens)"
            )
    return ""


def same(one, other):
    """Equal, but for the last digits of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and same(list(one.values()), list(other.values()))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
