"""Rows of contenders, and which contenders take part."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from doubles.asked_here import asked_here
from doubles.learning import KIND, LearnsOneSet, register
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_model

from specframe.bench import library
from specframe.bench import prepare as preparing
from specframe.bench.compare import _explainer
from specframe.bench.contenders import Asked, LibraryContender, StrategyContender
from specframe.bench.harness import Schedule
from specframe.bench.run_folder import RunFolder
from specframe.bench.settings import BenchSettings
from specframe.bench.summary import BASELINE, summarise
from specframe.contract.judged_set import JudgedSet
from specframe.core.engine import Round
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.doors.speculator import SelfSpeculator
from specframe.rig import Rig
from specframe.strategies.autoregressive import Autoregressive
from specframe.testbed import suite
from specframe.types import Draft, DraftPlan, Estimate, Outcome, Prompt, SkipSet, StopRule


class Played:
    """A speculator with given rounds: (number of drafted tokens, skipped sublayers) each."""

    def __init__(self, *rounds: tuple[int, tuple[int, ...] | SkipSet]) -> None:
        self._rounds = rounds
        self.strategy = Autoregressive()

    def rounds(self, prompt: list[int], **arguments: Any) -> Iterator[Round]:
        yield Round(0, (1,), 0.1)
        for index, (drafted, skipped) in enumerate(self._rounds, start=1):
            given = isinstance(skipped, SkipSet)
            skips = skipped if given else SkipSet.from_sublayers(4, skipped)
            plan = DraftPlan(skips, StopRule(8))
            tokens = (1,) * (drafted + 1)
            draft = Draft((1,) * drafted, tuple(range(-1, drafted - 1)), (0.9,) * drafted)
            outcome = Outcome(plan, draft, drafted, tokens)
            yield Round(index, tokens, 0.1, outcome)


class InBlocks:
    """A model whose `generate` emits four tokens at once, then one."""

    device = torch.device("cpu")

    def generate(self, ids: torch.Tensor, streamer: Any, **arguments: Any) -> torch.Tensor:
        blocks = [ids, torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9]])]
        for block in blocks:
            streamer.put(block)
        return torch.cat(blocks, dim=1)


def row_of(contender: Any, tmp_path: Path) -> dict[str, Any]:
    schedule = Schedule((Prompt((1, 2), "sql", "sql/0"),), repeats=1)
    folder = RunFolder(tmp_path / "run")
    with folder.held({}, resume=False) as finished:
        (row,) = asked_here(schedule, [contender], folder, finished)
    return row


def test_making_low_bit_copies_counts_as_neither_prefill_nor_decoding(monkeypatch):
    clock = TickingClock(monkeypatch, ("specframe.bench.contenders",))

    class Making(Played):
        def rounds(self, prompt: list[int], **arguments: Any) -> Iterator[Round]:
            for done in super().rounds(prompt, **arguments):
                clock.now += 1.0
                yield replace(done, low_bit_seconds=0.25 * (1 + done.index))

    making: Any = Making((3, ()), (2, ()))
    answer = StrategyContender("made", "", making, CostModel.even(2)).answer((1, 2), Asked(8))
    assert answer.prefill_seconds == 1.0 - 0.25
    assert answer.decode_seconds == 2.0 - 0.5 - 0.75
    assert answer.stats is not None
    assert answer.stats.low_bit_seconds == 1.5


def test_rounds_that_draft_count_with_or_without_skips(tmp_path):
    played: Any = Played((3, (1,)), (3, (2,)), (2, ()), (0, (1, 2)))
    row = row_of(StrategyContender("played", "best", played, CostModel.even(2)), tmp_path)
    assert row["drafting_share"] == pytest.approx(3 / 4)
    assert row["skips"] == {"1": 1, "2": 1}
    assert row["first_tokens"] == 1


def test_low_bit_rounds_count_by_sublayer_and_their_copies_once(tmp_path):
    free = Table((0,), (1,), ((0.0,),))
    low = LowPrices(4, (free,), (free,), free, (100,), (300,), 1000)
    costs = replace(CostModel.even(4), low=(low,))
    skips = SkipSet.from_sublayers(4, [2])
    rounds = (2, skips.lower(4, [1, 4])), (2, skips.lower(4, [1], head=False))
    played: Any = Played(*rounds, (0, skips.lower(4)))
    row = row_of(StrategyContender("played", "best", played, costs), tmp_path)
    assert (row["skips"], row["low"]) == ({"2": 2}, {"1": 2, "4": 1})
    assert row["low_bits"] == 4
    assert row["low_bit_bytes"] == 100 + 300 + 1000


def test_the_size_of_the_first_block_of_the_library_is_recorded(tmp_path):
    row = row_of(LibraryContender("transformers-prompt-lookup", InBlocks()), tmp_path)
    assert row["tokens"] == [5, 6, 7, 8, 9]
    assert row["first_tokens"] == 4


@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.bfloat16, marks=pytest.mark.slow)]
)
def test_tree_rows_are_exact_in_float64_and_otherwise_differ_only_at_near_ties(dtype, tmp_path):
    model = tiny_model(Tiny(layers=4, sharpness=1.0, dtype=dtype))
    rig = Rig.of(model, costs=CostModel.even(4))
    contenders = [
        StrategyContender(name, preset, rig.speculator(rig.strategy(name, preset)), rig.costs)
        for name, preset in ((BASELINE, "best"), ("swift", "faithful"))
    ]
    asked = tuple(Prompt((1 + i, 2, 3, 5 + i), "sql", f"sql/{i}") for i in range(2))
    folder = RunFolder(tmp_path / "run")
    with folder.held({}, resume=False) as finished:
        schedule = Schedule(asked, repeats=1)
        explain = _explainer(rig.executor, asked)
        rows = asked_here(schedule, contenders, folder, finished, new_tokens=40, explain=explain)
    (mean,) = [e for e in summarise(rows) if (e["selector"], e["domain"]) == ("swift", "mean")]
    assert mean["tree_rounds"] > 0.5
    assert mean["exact_match"] + mean["near_ties"] == pytest.approx(1.0)
    if dtype == torch.float64:
        assert mean["exact_match"] == 1.0


def test_an_arbitrary_different_answer_is_no_near_tie(tmp_path):
    executor = SelfSpeculator(tiny_model(Tiny())).executor
    asked = [Prompt((1, 2, 3), "sql", "sql/0")]
    explain = _explainer(executor, asked)
    told = [explain("sql/0", [4, 5], [4, token]) for token in range(23)]
    assert told[5] is None
    assert sum(bool(one and one["near_tie"]) for one in told) <= 1
    assert {one["position"] for one in told if one} == {1}


def test_the_oracle_searches_last_and_starts_from_what_the_others_found(monkeypatch, tmp_path):
    asked: list[tuple[str, tuple[SkipSet, ...]]] = []
    found = SkipSet.of(2, [1], [0])

    def made(self: Any, text: str, starts: tuple[SkipSet, ...]) -> tuple[Any, dict[str, Any]]:
        asked.append((text, starts))
        judged = JudgedSet(found, Estimate(0.9, 0.8, 1.0, 9), 4, 1.2, 0.5, 1.0, 9, 0.9, 1)
        return LearnsOneSet(found=judged), {}

    monkeypatch.setattr(preparing._Strategies, "made", made)
    monkeypatch.setattr(preparing, "faster_library", lambda *given: None)
    rig = Rig.of(tiny_model(Tiny()), costs=CostModel.even(Tiny().layers))
    settings = BenchSettings(strategies=("oracle", "static-bo"))
    prompt = Prompt((1,), "b", "a")
    prepared = preparing.prepare(settings, rig, rig.lab(), (), prompt, tmp_path)
    assert asked == [("static-bo", ()), ("oracle", (found,))]
    names = [contender.name for contender in prepared.contenders if contender is not None]
    assert names == [BASELINE, "oracle", "static-bo"]


def test_a_strategy_is_calibrated_once_a_run(tmp_path, monkeypatch):
    register(monkeypatch)
    rig = Rig.of(tiny_model(Tiny(vocabulary=61)), costs=CostModel.even(Tiny().layers))
    lab, told = rig.lab(new_tokens=8), []
    settings = BenchSettings(strategies=(KIND,), calibration_seconds=7.0)
    prompts = [Prompt((1 + i, 2, 3), "sql", f"sql/{i}") for i in range(3)]
    maker = preparing._Strategies(settings, rig, lab, prompts, tmp_path, told.append)
    first, facts = maker.made(KIND, ())
    assert first.config.seconds == 7.0
    assert facts["prompts"] == tuple(prompt.digest for prompt in prompts)
    assert maker.made(KIND, ()) == (first, facts)
    assert len(told) == 1


def test_early_exit_of_the_library_takes_part_only_if_the_model_can(monkeypatch):
    monkeypatch.setattr(library, "_best_exit", lambda lab, prompts: (2, 4))
    names = {}
    for executor in ("fused", "module"):
        told: list[str] = []
        rig: Any = SimpleNamespace(model=None, executor=SimpleNamespace(name=executor))
        found = library.library_drafting(rig, None, (), told.append)
        names[executor] = [contender.name for contender in found]
        assert bool(told) == (executor == "module")
    assert names["fused"] == [library.LOOKUP, library.EARLY_EXIT]
    assert names["module"] == [library.LOOKUP]


def test_a_contender_takes_part_once_in_any_spelling():
    spelt = "swift", "swift:best", BASELINE, "swift+ratio=0.3+window=8", "swift+window=8+ratio=0.3"
    assert preparing._wanted((*spelt, "swift:faithful")) == [
        "swift",
        "swift+ratio=0.3+window=8",
        "swift:faithful",
    ]


def test_all_strategies_include_one_that_drafts_trees():
    wanted = preparing._wanted(("all",))
    assert "swift:faithful" in wanted
    assert {"static-bo", "oracle", "swift"} <= set(wanted)


def test_a_prediction_includes_the_measured_selection_time(tmp_path):
    class Slow(Played):
        def rounds(self, prompt: list[int], **arguments: Any) -> Iterator[Round]:
            for done in super().rounds(prompt, **arguments):
                outcome = done.outcome
                yield (
                    done
                    if outcome is None
                    else replace(done, outcome=replace(outcome, select_seconds=0.5))
                )

    nothing, second = (Table((1,), (1,), ((price,),)) for price in (0.0, 1.0))
    costs = CostModel((0, 0), (nothing,), (nothing,), base=second, head=nothing)
    for speculator, selecting in ((Played, 0.0), (Slow, 0.5)):
        contender = StrategyContender("played", "best", speculator((2, (0,)), (0, ())), costs)
        answer = contender.answer((1, 2), Asked(8))
        assert answer.predicted_seconds == pytest.approx(3.0 + 1.0 + 2 * selecting)


def test_transformers_generates_with_each_draft_model_too():
    wanted = ["draft-model+model=a", "swift", "draft-model:faithful+model=a", "draft-model+model=b"]
    assert preparing._assistants(wanted) == ["a", "b"]
    rig = Rig.load("testbed", costs=CostModel.even(24))
    asked, prompt = Asked(12), tuple(suite("sql", 1)[0].tokens(rig.tokenizer))
    assisted = library.library_assisted(rig, "testbed-core")
    assert assisted.name == "transformers-assisted+model=testbed-core"
    own = LibraryContender("transformers", rig.model)
    assert assisted.answer(prompt, asked).tokens == own.answer(prompt, asked).tokens
