"""First plans at other context lengths than the prompt's."""

from doubles.planted_labs import planted_prompts
from doubles.priced_worlds import planted_rig

from specframe.strategies.kangaroo.adapter import Adapter
from specframe.strategies.kangaroo.strategy import Kangaroo, Trained
from specframe.studies.worlds.plans_at import plans_at
from specframe.types import Estimate

PROMPT = planted_prompts(each=1)[0].tokens


def test_plans_follow_the_prices_at_each_context():
    rig = planted_rig(attention=(0.1, 0.01))
    plans = plans_at(rig, rig.strategy("knapspec"), PROMPT, [20, 4000], 100)
    skipped = [plans[n].skips for n in (20, 4000)]
    assert len(skipped[0].mlp) >= len(skipped[0].attention)
    assert len(skipped[1].attention) >= len(skipped[1].mlp)
    assert all(plan.stop.max_tokens > 0 for plan in plans.values())


def test_a_strategy_with_a_trained_head_plans_to_use_it():
    rig = planted_rig()
    adapter = Adapter.new(rig.shape, 2, 0)
    sure = Estimate(0.9, 0.85, 0.95, 400)
    kangaroo = Kangaroo(found=Trained(adapter, sure, sure, rig.shape))
    plans = plans_at(rig, kangaroo, PROMPT, [20, 200], 100)
    assert all(plan.headed for plan in plans.values())
