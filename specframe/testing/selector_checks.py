"""The contract of a `LayerSelector`, one named check a rule.

`check_selector(MySelector(...), layers=L)` runs them all; `selector_checks` yields them one by one,
so that a test runner can name each:

    @pytest.mark.parametrize(("name", "check"), selector_checks(MySelector(), layers=4))
    def test_my_selector(name, check):
        check()
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specframe.contract.constant_plan import OnePlan
from specframe.contract.selector import Context, LayerSelector, Needs
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.testing.scene import LONGEST, SelectorScene
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["check_selector", "selector_checks"]

Check = Callable[[LayerSelector, SelectorScene], None]
GREEDY_TOKENS = 24


def check_selector(
    selector: LayerSelector,
    layers: int,
    expected_failures: Mapping[str, str] | None = None,
) -> None:
    """Run every check on a selector made for a model of so many layers.

    `expected_failures` maps names of checks to the reason why the selector fails them; a check
    that passes although a reason is given is an error too.
    """
    excused = dict(expected_failures or {})
    unknown = sorted(set(excused) - set(_CHECKS))
    assert not unknown, f"no such checks: {unknown}. Known: {sorted(_CHECKS)}"
    for name, check in selector_checks(selector, layers):
        if name not in excused:
            check()
            continue
        try:
            check()
        except Exception:  # noqa: BLE001 - whatever way it fails, the failure was expected
            continue
        raise AssertionError(f"{name} passes: drop its excuse ({excused[name]})")


def selector_checks(
    selector: LayerSelector, layers: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks with their names, each to be called without arguments."""
    scene = SelectorScene(layers)
    for name, check in _CHECKS.items():
        yield name, partial(check, selector, scene)


def plans_cover_the_models_sublayers(selector: LayerSelector, scene: SelectorScene) -> None:
    """Every plan, early or late, greedy or sampled, is a `DraftPlan` over 2L sublayers."""
    for sampled in (False, True):
        live = selector.spawn()
        play = scene.play(live, sampled=sampled)
        for index in range(6):
            plan = live.select(play.context())
            assert isinstance(plan, DraftPlan), f"select returned a {type(plan).__name__}"
            assert plan.skips.size == scene.shape.sublayers, (
                f"in round {index} the plan covers {plan.skips.size} sublayers and the model has "
                f"{scene.shape.sublayers}"
            )
            live.observe(play.advance(plan, accepted=index))


def plans_with_a_budget_of_one(selector: LayerSelector, scene: SelectorScene) -> None:
    """When one token is left, nothing can be drafted; `select` must cope."""
    live = selector.spawn()
    assert isinstance(live.select(scene.play(live, budget=1).context()), DraftPlan)


def plans_after_a_prompt_of_one_token(selector: LayerSelector, scene: SelectorScene) -> None:
    """The shortest sequence there is: a prompt of one token and the first emitted one."""
    live = selector.spawn()
    assert isinstance(live.select(scene.play(live, prompt=1).context()), DraftPlan)


def plans_without_an_engine(selector: LayerSelector, scene: SelectorScene) -> None:
    """A plain context has no probe and no states; a selector that wants them plans without."""
    live = selector.spawn()
    play = scene.play(live)
    for _ in range(3):
        plan = live.select(play.plain_context())
        assert isinstance(plan, DraftPlan)
        live.observe(play.advance(plan))


def select_can_be_repeated(selector: LayerSelector, scene: SelectorScene) -> None:
    """Only `observe` changes live state, so the same question gets the same answer."""
    live = selector.spawn()
    play = scene.play(live)
    for _ in range(4):
        first, again = live.select(play.context()), live.select(play.context())
        assert first == again, f"asked twice, it planned {first} and then {again}"
        live.observe(play.advance(first))


def equal_histories_give_equal_plans(selector: LayerSelector, scene: SelectorScene) -> None:
    """Plans follow from configuration, contexts and outcomes, not from luck or the clock."""
    first, again = (_plans(selector.spawn(), scene, rounds=8) for _ in range(2))
    for index, (one, other) in enumerate(zip(first, again, strict=True)):
        assert one == other, f"the same history led to {one} and to {other} in round {index}"


def spawn_forgets_the_sequence(selector: LayerSelector, scene: SelectorScene) -> None:
    """What a used instance spawns plans like the first one did."""
    live = selector.spawn()
    wanted = _plans(live, scene, rounds=3)
    found = _plans(live.spawn(), scene, rounds=3)
    assert found == wanted, f"spawned from a used instance it planned {found} instead of {wanted}"


def spawned_instances_share_no_state(selector: LayerSelector, scene: SelectorScene) -> None:
    """Two sequences at a time: what one observes does not move the other."""
    wanted = _plans(selector.spawn(), scene, rounds=3)
    quiet, busy = selector.spawn(), selector.spawn()
    _plans(busy, scene, rounds=3, accepted=0)
    found = _plans(quiet, scene, rounds=3)
    assert found == wanted, f"another sequence's outcomes turned {wanted} into {found}"


def select_leaves_the_context_alone(selector: LayerSelector, scene: SelectorScene) -> None:
    """Tokens and states belong to the engine."""
    live = selector.spawn()
    play = scene.play(live)
    for _ in range(3):
        context = play.context()
        before = _copied(context)
        plan = live.select(context)
        after = _copied(context)
        assert before.keys() == after.keys(), "select added or removed states"
        changed = [name for name, value in before.items() if not _same(value, after[name])]
        assert not changed, f"select changed context.{changed[0]}"
        live.observe(play.advance(plan))


def public_attributes_never_change(selector: LayerSelector, scene: SelectorScene) -> None:
    """Configuration is public and fixed; what is learnt is private (its name begins with _)."""
    live = selector.spawn()
    before = _public(selector), _public(live)
    _plans(live, scene, rounds=4)
    assert _public(selector) == before[0], "public attributes of the given instance changed in use"
    assert _public(live) == before[1], "public attributes of the spawned instance changed in use"


def observe_accepts_every_outcome(selector: LayerSelector, scene: SelectorScene) -> None:
    """Nothing drafted; all rejected; all accepted; a leaf of a tree; cut by an end token."""
    for sampled in (False, True):
        live = selector.spawn()
        play = scene.play(live, sampled=sampled)
        for advance in (
            play.advance_undrafted,
            partial(play.advance, accepted=0),
            partial(play.advance, accepted=LONGEST),
            play.advance_by_a_leaf,
            play.advance_to_the_end,
        ):
            plan = live.select(play.context())
            assert isinstance(plan, DraftPlan)
            live.observe(advance(plan))


def plans_are_plain_data(selector: LayerSelector, scene: SelectorScene) -> None:
    """A plan can be hashed, compared, written down and read back."""
    for plan in _plans(selector.spawn(), scene, rounds=3):
        hash(plan)
        assert pickle.loads(pickle.dumps(plan)) == plan, f"{plan} does not survive pickling"


def needs_name_states_the_model_has(selector: LayerSelector, scene: SelectorScene) -> None:
    """`needs` is a `Needs` whose depths exist; it is the same before and after spawning."""
    needs = selector.needs
    assert isinstance(needs, Needs), f"needs is a {type(needs).__name__}"
    assert selector.spawn().needs == needs, "a spawned instance needs something else"
    for name in ("prompt", "committed"):
        depths = Needs.depths(getattr(needs, name), scene.shape)
        outside = sorted(depth for depth in depths if not 0 <= depth <= scene.shape.sublayers)
        assert not outside, (
            f"needs.{name} names depth {outside[0]}; there are 0 to {scene.shape.sublayers}"
        )
    assert not needs.committed or needs.window > 0, "needs.committed without a window keeps nothing"


def the_global_generators_stay_untouched(selector: LayerSelector, scene: SelectorScene) -> None:
    """Drawing from torch's, numpy's or Python's own generator would change sampled tokens."""
    before = _global_generators()
    _plans(selector.spawn(), scene, rounds=3)
    after = _global_generators()
    used = [name for name, state in before.items() if state != after[name]]
    assert not used, f"the generator of {used[0]} was used or seeded; keep an own one"


def greedy_tokens_are_the_targets_own(selector: LayerSelector, scene: SelectorScene) -> None:
    """With the real engine on a tiny float64 model, no token differs from plain decoding."""
    plain = OnePlan(DraftPlan(SkipSet.none(scene.shape.layers), StopRule(0)))
    wanted, found = _greedy(plain, scene), _greedy(selector, scene)
    assert found == wanted, f"decoding gave {found} instead of {wanted}"


_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        plans_cover_the_models_sublayers,
        plans_with_a_budget_of_one,
        plans_after_a_prompt_of_one_token,
        plans_without_an_engine,
        select_can_be_repeated,
        equal_histories_give_equal_plans,
        spawn_forgets_the_sequence,
        spawned_instances_share_no_state,
        select_leaves_the_context_alone,
        public_attributes_never_change,
        observe_accepts_every_outcome,
        plans_are_plain_data,
        needs_name_states_the_model_has,
        the_global_generators_stay_untouched,
        greedy_tokens_are_the_targets_own,
    )
}


def _plans(
    live: LayerSelector, scene: SelectorScene, rounds: int, accepted: int = 1
) -> list[DraftPlan]:
    """What it plans as rounds pass in which so many drafted tokens are accepted."""
    play = scene.play(live)
    found = []
    for _ in range(rounds):
        found.append(live.select(play.context()))
        live.observe(play.advance(found[-1], accepted))
    return found


def _copied(context: Context) -> dict[str, Any]:
    states = {
        f"{name}[{depth}]": states.clone()
        for name in ("prompt_states", "states")
        for depth, states in getattr(context, name).items()
    }
    return {"tokens": list(context.tokens), **states}


def _same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


def _public(thing: Any) -> Any:
    """Public attributes, those of public attributes included; what has none as bytes."""
    attributes = None if isinstance(thing, Tensor) else getattr(thing, "__dict__", None)
    if attributes is None:
        return pickle.dumps(thing)
    return {name: _public(value) for name, value in attributes.items() if name[0] != "_"}


def _global_generators() -> dict[str, bytes]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),
        "random": pickle.dumps(random.getstate()),
    }


def _greedy(selector: LayerSelector, scene: SelectorScene) -> list[int]:
    """A budget that is never used up, so that the last rounds are like the others."""
    engine = Engine(scene.executor, selector.spawn(), Law(), Limits(150))
    tokens: list[int] = []
    for done in engine.rounds(scene.tokens[:12]):
        tokens += done.tokens
        if len(tokens) >= GREEDY_TOKENS:
            break
    return tokens[:GREEDY_TOKENS]
