"""Preset `faithful` against decisions that the official code of KnapSpec and a CLaSp port made."""

import json

import pytest
import torch
from doubles.reference_data import REFERENCE
from transformers import LlamaForCausalLM

from specframe.core.probe import CacheProbe
from specframe.executors.load import load_executor
from specframe.strategies.clasp import skipped_layers
from specframe.strategies.knapspec.paper import PaperConfig, SublayerPrices, paper_decision
from specframe.types import Step

GOLDEN = REFERENCE / "golden"

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "golden.json").exists(),
    reason=f"no reference data in {GOLDEN}; name its folder in SPECFRAME_REFERENCE_DATA",
)


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model():
    return LlamaForCausalLM.from_pretrained(GOLDEN / "model").eval()


@pytest.fixture(scope="module")
def run(golden, model):
    """The probe after the whole sequence, and the target's states by depth."""
    executor = load_executor(model)
    tokens = golden["prompt"]
    cache = executor.new_cache(len(tokens) + 1)
    step = Step(torch.tensor([tokens]), torch.arange(len(tokens)), 0, 0)
    passed = executor.walk(step, cache, taps=range(executor.shape.sublayers + 1))
    cache.commit(range(len(tokens)))
    assert passed.logits[0].argmax(-1).tolist() == golden["target_argmax"]
    return CacheProbe(executor, cache), {depth: rows[0] for depth, rows in passed.taps.items()}


NAMES = ["equal", "attention_dear", "mlp_dear", "attention_very_dear"]


@pytest.mark.parametrize("name", NAMES)
def test_the_paper_s_candidates_agreement_and_choice_are_reproduced(golden, run, name):
    case = next(case for case in golden["knapspec"] if case["name"] == name)
    probe, states = run
    references = {depth: rows[-case["reference_tokens"] :] for depth, rows in states.items()}
    prices = SublayerPrices(case["t_attn"], case["t_mlp"])
    config = PaperConfig(similarity=case["sim_threshold"])
    decision = paper_decision(probe, references, prices, config)
    masks = [[int(b in skips) for b in range(skips.size)] for skips in decision.candidates]
    assert masks == case["masks"]
    assert decision.alphas == pytest.approx(case["alpha"], abs=1e-6)
    assert decision.chosen == case["best_index"]
    assert decision.draft_length == case["best_draft_length"]
    assert decision.tokens_per_time == pytest.approx(case["best_tpt"])


def test_every_case_of_the_reference_data_is_checked(golden):
    assert [case["name"] for case in golden["knapspec"]] == NAMES


def test_the_same_program_over_whole_layers_reproduces_clasp(golden, run):
    probe, states = run
    references = {depth: rows[-1:] for depth, rows in states.items()}
    for case in golden["clasp"]:
        skips = skipped_layers(probe, references, case["skips"])
        assert [int(2 * layer in skips) for layer in range(6)] == case["layer_mask"]
        assert skips.attention == skips.mlp
