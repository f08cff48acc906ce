"""How often a round waits for the device or copies to it, and how many operations it launches."""

from collections import Counter

import pytest
import torch
from doubles.graphs import LONG, READS, shared_graphed
from doubles.tiny import tiny_executor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from specframe.core.draft import Drafter
from specframe.core.sampling import Law
from specframe.core.target import Target
from specframe.executors.graphs.recorder import WalkKey
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

SKIPS = SkipSet.of(3, (0,), (2,))  # without a prefix, whose last row is a walk of its own
MAKES = (torch.tensor, torch.as_tensor)
LAUNCHES = 17  # most operations of a sublayer, on average, that a device computes
VIEWS = {"view", "slice", "select", "transpose", "t", "expand", "split", "unsqueeze", "alias"}
VIEWS |= {"as_strided", "_unsafe_view", "detach", "unbind", "permute", "squeeze", "empty"}


class Watching(TorchFunctionMode):
    """Counts values that are read and tensors made on the host."""

    def __init__(self):
        super().__init__()
        self.reads = self.made = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.reads += func in READS
        self.made += func in MAKES
        return func(*args, **(kwargs or {}))


class Launching(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        self.seen[name] += name not in VIEWS
        return func(*args, **(kwargs or {}))


def drafted(executor, stop, tree=None):
    """The reads and copies of the third of three drafts, and the draft."""
    drafter = Drafter(executor, executor.new_cache(100), Law(), [1])
    plan = DraftPlan(SKIPS, stop, tree)
    drafter.run(plan)
    drafter.run(plan)
    with Watching() as watching:
        draft = drafter.run(plan)
    return watching, draft


def test_a_draft_of_fixed_length_is_read_once():
    watching, draft = drafted(shared_graphed(), StopRule(6))
    assert len(draft.tokens) == 6
    assert (watching.reads, watching.made) == (1, 1)


def test_a_confident_draft_is_read_once_a_step():
    watching, draft = drafted(shared_graphed(), StopRule(6, confidence=1e-9))
    assert len(draft.tokens) == 6
    assert (watching.reads, watching.made) == (6, 1)


@pytest.mark.parametrize("executor", [shared_graphed, lambda: tiny_executor(LONG)])
@pytest.mark.parametrize("stop", [StopRule(6), StopRule(6, confidence=1e-9)])
def test_a_step_walked_alone_is_read_once(executor, stop):
    watching, draft = drafted(executor(), stop, TreeRule((1,), by_confidence=((0.0, 1),)))
    steps = len(draft.tokens)
    assert steps == 6
    assert watching.reads <= steps
    assert watching.made <= steps


@pytest.mark.parametrize("executor", [shared_graphed, lambda: tiny_executor(LONG)])
def test_a_greedy_verdict_is_read_once(executor):
    executor = executor()
    cache = executor.new_cache(100)
    draft = Drafter(executor, cache, Law(), [1]).run(DraftPlan(SKIPS, StopRule(4)))
    target = Target(executor, cache, Law(), [1])
    with Watching() as watching:
        target.judge(draft, 0, frozenset())
    assert (watching.reads, watching.made) == (1, 1)


@pytest.mark.parametrize("executor", [shared_graphed, lambda: tiny_executor(LONG)])
def test_a_sampled_verdict_is_read_once_and_once_a_draw(executor):
    executor, draws = executor(), []

    def choose(law):
        draws.append(law)
        return int(torch.multinomial(law, 1, generator=generator))

    generator, law = torch.Generator().manual_seed(3), Law(choose=choose)
    cache = executor.new_cache(100)
    draft = Drafter(executor, cache, law, [1]).run(DraftPlan(SKIPS, StopRule(6)))
    target = Target(executor, cache, law, [1])
    draws.clear()
    with Watching() as watching:
        target.judge(draft, 0, frozenset())
    assert len(draft.tokens) == 6
    assert watching.reads == 2 + len(draws)  # whether the logits are finite, and the chances


def test_a_recorded_sublayer_launches_few_operations():
    executor = shared_graphed()
    cache = executor.new_cache(100)
    key = WalkKey(0, 256, SkipSet.none(3), 0, 6, (), resumed=False, end="stream")
    executor.inputs.begin([1], slot=0, root=0)
    with Launching() as launching, torch.inference_mode():
        executor._compute(key, cache.data, executor._cos, executor._sin)
    assert launching.seen.total() / 6 <= LAUNCHES, launching.seen.most_common(12)
