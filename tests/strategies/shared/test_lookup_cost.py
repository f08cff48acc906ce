"""What the look-up costs: capture, pooling, search and pricing against whole generations.

`pytest -m slow -s tests/strategies/shared/test_lookup_cost.py` prints the shares.
"""

import sys
from statistics import median
from time import perf_counter

import pytest
import torch

from specframe.contract.judged_set import JudgedSet
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.core.states import StateWindow
from specframe.doors.loading import PLANTED, load
from specframe.executors.load import load_executor
from specframe.strategies.knn_ssd import DomainSets, KnnSsd, KnnSsdConfig
from specframe.strategies.shared.domains.lookup import Memory
from specframe.strategies.shared.judging.prompt_split import MIXED
from specframe.testing import planted_skips
from specframe.types import Estimate

SHAPE = PLANTED["planted-19M"]
DOMAINS = ("summary", "arithmetic", "translation", "story", "sql")
PROMPT = 300
MOST = 0.005  # of a generation of 128 tokens


def strategy_of_domains() -> KnnSsd:
    """Five domains, ten anchors each, all with the same set: only the look-up differs."""
    anchors = torch.randn(50, SHAPE.hidden, generator=torch.Generator().manual_seed(0))
    skips = planted_skips(SHAPE.layers, 0.5)
    judged = JudgedSet(skips, Estimate.of_share(92, 100), 6, 1.3, 0.5, 1.1, 400, 0.92, 200)
    memory = Memory(anchors, tuple(d for d in DOMAINS for _ in range(10)), torch.zeros(256))
    sets = dict.fromkeys((*DOMAINS, MIXED), judged)
    return KnnSsd(KnnSsdConfig(may_decline=False, check=0), DomainSets(memory, sets))


def capture_seconds() -> float:
    """Keeping the prompt's last states, in the blocks in which a prompt goes in."""
    window = StateWindow(strategy_of_domains().needs, SHAPE)
    states = torch.zeros(1, PROMPT, SHAPE.hidden, dtype=torch.bfloat16)
    began = perf_counter()
    window.push_prompt({SHAPE.sublayers: states})
    return perf_counter() - began


def generated(executor, strategy, prompt, count):
    return Engine(executor, strategy, Law(), Limits(count)).rounds(prompt)


@pytest.mark.slow
def test_the_lookup_is_a_small_part_of_a_generation():
    executor = load_executor(load("planted-19M").model)
    drawn = torch.randint(SHAPE.vocabulary, (PROMPT,), generator=torch.Generator().manual_seed(1))
    strategy = strategy_of_domains()
    capture = median(capture_seconds() for _ in range(9))
    lookup = median(
        list(generated(executor, strategy, drawn.tolist(), 4))[1].outcome.select_seconds
        for _ in range(9)
    )
    shares = {}
    for count in (32, 128, 512):
        began = perf_counter()
        list(generated(executor, strategy, drawn.tolist(), count))
        whole = perf_counter() - began
        shares[count] = (capture + lookup) / whole
        sys.stdout.write(
            f"{count} tokens: {shares[count]:.3%} of {whole:.3f} s "
            f"(capture {capture * 1e3:.3f} ms, look-up {lookup * 1e3:.3f} ms)\n"
        )
    assert shares[128] <= MOST
    assert shares[512] < shares[32]
