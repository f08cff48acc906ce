"""The contract of a `LayerSelector` as named checks, one per rule.

`check_selector(MySelector(...), layers=L)` runs them all; `selector_checks` yields them one by one,
so that a test runner can show their names:

    @pytest.mark.parametrize(("name", "check"), selector_checks(MySelector(), layers=4))
    def test_my_selector(name, check):
        check()
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specframe.contract.constant_plan import ConstantPlan
from specframe.contract.planner import Context, Planner
from specframe.contract.second_model import SecondModel
from specframe.contract.selector import LayerSelector, Needs
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.testing.scene import LONGEST, StrategyScene
from specframe.types import DraftPlan, SkipSet, StopRule

Check = Callable[[LayerSelector, StrategyScene], None]
GREEDY_TOKENS = 24


def check_selector(
    strategy: LayerSelector,
    layers: int,
    expected_failures: Mapping[str, str] | None = None,
) -> None:
    """Run every check on a strategy made for a model with this number of layers.

    `expected_failures` maps names of checks to the reasons why the strategy fails them. A check in
    it that passes is an error too.
    """
    expected = dict(expected_failures or {})
    unknown = sorted(set(expected) - set(_CHECKS))
    assert not unknown, f"no such checks: {unknown}. Known: {sorted(_CHECKS)}"
    for name, check in selector_checks(strategy, layers):
        if name not in expected:
            check()
            continue
        try:
            check()
        except Exception:  # noqa: BLE001 - any kind of failure was expected
            continue
        raise AssertionError(f"{name} passes: remove it from expected_failures ({expected[name]})")


def selector_checks(
    strategy: LayerSelector, layers: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks with their names, each to be called without arguments.

    Each check uses a fresh copy of the strategy.
    """
    scene = _scene(layers)
    for name, check in _CHECKS.items():
        yield name, partial(_fresh, check, strategy, scene)


def _fresh(check: Check, strategy: LayerSelector, scene: StrategyScene) -> None:
    check(strategy.fresh(), scene)


def plans_cover_the_models_sublayers(strategy: LayerSelector, scene: StrategyScene) -> None:
    """Every plan, early or late, greedy or sampled, is a `DraftPlan` over 2L sublayers."""
    for sampled in (False, True):
        planner = strategy.start(scene.shape)
        play = scene.play(strategy, sampled=sampled)
        for index in range(6):
            plan = planner.plan(play.context())
            assert isinstance(plan, DraftPlan), f"plan returned a {type(plan).__name__}"
            assert plan.skips.size == scene.shape.sublayers, (
                f"in round {index} the plan covers {plan.skips.size} sublayers and the model has "
                f"{scene.shape.sublayers}"
            )
            planner.observe(play.advance(plan, accepted=index))


def plans_with_a_budget_of_one(strategy: LayerSelector, scene: StrategyScene) -> None:
    """`plan` must also work if one token is left and nothing can be drafted."""
    planner = strategy.start(scene.shape)
    assert isinstance(planner.plan(scene.play(strategy, budget=1).context()), DraftPlan)


def plans_after_a_prompt_of_one_token(strategy: LayerSelector, scene: StrategyScene) -> None:
    """`plan` must work in the shortest sequence: a prompt of one token and one emitted token."""
    planner = strategy.start(scene.shape)
    assert isinstance(planner.plan(scene.play(strategy, prompt=1).context()), DraftPlan)


def plans_without_states(strategy: LayerSelector, scene: StrategyScene) -> None:
    """States may not be captured yet; a strategy that needs them must plan without them."""
    planner = strategy.start(scene.shape)
    play = scene.play(strategy)
    for _ in range(3):
        plan = planner.plan(play.stateless_context())
        assert isinstance(plan, DraftPlan)
        planner.observe(play.advance(plan))


def plan_can_be_repeated(strategy: LayerSelector, scene: StrategyScene) -> None:
    """Only `observe` changes what is planned next: the same context gets the same plan."""
    planner = strategy.start(scene.shape)
    play = scene.play(strategy)
    for _ in range(4):
        first, again = planner.plan(play.context()), planner.plan(play.context())
        assert first == again, f"called twice, it planned {first} and then {again}"
        planner.observe(play.advance(first))


def equal_histories_give_equal_plans(strategy: LayerSelector, scene: StrategyScene) -> None:
    """Plans depend on configuration, contexts and outcomes, not on chance or time."""
    first, again = (_plans(strategy.fresh(), scene, rounds=8) for _ in range(2))
    for index, (one, other) in enumerate(zip(first, again, strict=True)):
        assert one == other, f"the same history led to {one} and {other} in round {index}"


def a_new_planner_knows_nothing(strategy: LayerSelector, scene: StrategyScene) -> None:
    """What a strategy learns in one sequence does not affect a fresh copy of it."""
    wanted = _plans(strategy.fresh(), scene, rounds=3)
    _plans(strategy, scene, rounds=6, accepted=0)
    found = _plans(strategy.fresh(), scene, rounds=3)
    assert found == wanted, f"after another sequence it planned {found} instead of {wanted}"


def planners_share_no_state(strategy: LayerSelector, scene: StrategyScene) -> None:
    """The outcomes of one sequence do not affect another one that runs at the same time."""
    wanted = _plans(strategy.fresh(), scene, rounds=3)
    quiet, busy = strategy.start(scene.shape), strategy.start(scene.shape)
    _planned(busy, strategy, scene, rounds=3, accepted=0)
    found = _planned(quiet, strategy, scene, rounds=3)
    assert found == wanted, f"another sequence's outcomes changed {wanted} to {found}"


def the_strategy_is_frozen(strategy: LayerSelector, scene: StrategyScene) -> None:
    """No attribute can be set, and using the strategy changes only what `fresh` drops."""
    before = _state(strategy.fresh())
    try:
        strategy.another_attribute = 1  # type: ignore[attr-defined]
    except AttributeError:
        pass
    else:
        raise AssertionError("an attribute can be set: make the class a frozen dataclass")
    _plans(strategy, scene, rounds=4)
    assert _state(strategy.fresh()) == before, "attributes changed while the strategy was used"


def plan_leaves_the_context_alone(strategy: LayerSelector, scene: StrategyScene) -> None:
    """`plan` must not change the engine's tokens and states."""
    planner = strategy.start(scene.shape)
    play = scene.play(strategy)
    for _ in range(3):
        context = play.context()
        before = _copied(context)
        plan = planner.plan(context)
        after = _copied(context)
        assert before.keys() == after.keys(), "plan added or removed states"
        changed = [name for name, value in before.items() if not _same(value, after[name])]
        assert not changed, f"plan changed context.{changed[0]}"
        planner.observe(play.advance(plan))


def observe_accepts_every_outcome(strategy: LayerSelector, scene: StrategyScene) -> None:
    """`observe` works if nothing was drafted, all or nothing accepted, a leaf, an end token."""
    for sampled in (False, True):
        planner = strategy.start(scene.shape)
        play = scene.play(strategy, sampled=sampled)
        for advance in (
            play.advance_undrafted,
            partial(play.advance, accepted=0),
            partial(play.advance, accepted=LONGEST),
            play.advance_by_a_leaf,
            play.advance_to_the_end,
        ):
            plan = planner.plan(play.context())
            assert isinstance(plan, DraftPlan)
            planner.observe(advance(plan))


def plans_are_plain_data(strategy: LayerSelector, scene: StrategyScene) -> None:
    """A plan can be hashed, compared and pickled."""
    for plan in _plans(strategy, scene, rounds=3):
        hash(plan)
        assert pickle.loads(pickle.dumps(plan)) == plan, f"{plan} changes when it is pickled"


def needs_name_states_the_model_has(strategy: LayerSelector, scene: StrategyScene) -> None:
    """`needs` is a `Needs` whose depths exist."""
    needs = strategy.needs
    assert isinstance(needs, Needs), f"needs is a {type(needs).__name__}"
    for name in ("prompt", "committed"):
        depths = Needs.depths(getattr(needs, name), scene.shape)
        outside = sorted(depth for depth in depths if not 0 <= depth <= scene.shape.sublayers)
        assert not outside, (
            f"needs.{name} names depth {outside[0]}; depths are 0 to {scene.shape.sublayers}"
        )
    assert not needs.committed or needs.window > 0, "needs.committed without a window keeps nothing"


def the_global_generators_stay_untouched(strategy: LayerSelector, scene: StrategyScene) -> None:
    """Using the global generators of torch, numpy or Python would change sampled tokens."""
    before = _global_generators()
    _plans(strategy, scene, rounds=3)
    after = _global_generators()
    used = [name for name, state in before.items() if state != after[name]]
    assert not used, f"the global generator of {used[0]} was used or seeded; create a separate one"


def greedy_tokens_are_the_targets_own(strategy: LayerSelector, scene: StrategyScene) -> None:
    """With the real engine on a tiny float64 model, tokens equal autoregressive decoding."""
    wanted, found = _own_tokens(scene.layers), _greedy(strategy, scene)
    assert found == wanted, f"decoding gave {found} instead of {wanted}"


_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        plans_cover_the_models_sublayers,
        plans_with_a_budget_of_one,
        plans_after_a_prompt_of_one_token,
        plans_without_states,
        plan_can_be_repeated,
        equal_histories_give_equal_plans,
        a_new_planner_knows_nothing,
        planners_share_no_state,
        the_strategy_is_frozen,
        plan_leaves_the_context_alone,
        observe_accepts_every_outcome,
        plans_are_plain_data,
        needs_name_states_the_model_has,
        the_global_generators_stay_untouched,
        greedy_tokens_are_the_targets_own,
    )
}


@cache
def _scene(layers: int) -> StrategyScene:
    """Cached, since making the model takes as long as some checks."""
    return StrategyScene(layers)


@cache
def _own_tokens(layers: int) -> list[int]:
    """The tokens of autoregressive decoding."""
    nothing = ConstantPlan(DraftPlan(SkipSet.none(layers), StopRule(0)))
    return _greedy(nothing, _scene(layers))


def _plans(
    strategy: LayerSelector, scene: StrategyScene, rounds: int, accepted: int = 1
) -> list[DraftPlan]:
    """The plans of a new planner if `accepted` drafted tokens are accepted in each round."""
    return _planned(strategy.start(scene.shape), strategy, scene, rounds, accepted)


def _planned(
    planner: Planner,
    strategy: LayerSelector,
    scene: StrategyScene,
    rounds: int,
    accepted: int = 1,
) -> list[DraftPlan]:
    play = scene.play(strategy)
    found = []
    for _ in range(rounds):
        found.append(planner.plan(play.context()))
        planner.observe(play.advance(found[-1], accepted))
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


def _state(thing: Any) -> Any:
    """All attributes, recursively; values without attributes as bytes."""
    if isinstance(thing, type | SecondModel):
        return thing
    attributes = None if isinstance(thing, Tensor) else getattr(thing, "__dict__", None)
    if attributes is None:
        return pickle.dumps(thing)
    return {name: _state(value) for name, value in attributes.items()}


def _global_generators() -> dict[str, bytes]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),
        "random": pickle.dumps(random.getstate()),
    }


def _greedy(strategy: LayerSelector, scene: StrategyScene) -> list[int]:
    """Greedy tokens; the budget is larger than needed, so it does not limit the last rounds."""
    engine = Engine(scene.executor, strategy, Law(), Limits(150))
    tokens: list[int] = []
    for done in engine.rounds(scene.tokens[:12]):
        tokens += done.tokens
        if len(tokens) >= GREEDY_TOKENS:
            break
    return tokens[:GREEDY_TOKENS]
