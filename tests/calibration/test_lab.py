"""The lab measures what generation does, reports progress, and never measures twice."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from doubles.planted_labs import LAYERS, PLANTED, planted_executor, planted_lab, planted_prompts
from doubles.written_lab import plain_costs

from specframe.calibration.lab import ModelLab, ends_of, model_facts
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import ArtefactError, InvalidRequest
from specframe.strategies.fixed import FixedSkips
from specframe.testing import planted_llama
from specframe.types import DraftPlan, ModelShape, Prompt, SkipSet, Step, StopRule

PROMPTS = planted_prompts(each=3)
SOME = SkipSet.from_sublayers(LAYERS, [4])


class Counting:
    """An executor that counts its walks."""

    def __init__(self, executor):
        self._executor, self.walks = executor, 0

    def __getattr__(self, name):
        return getattr(self._executor, name)

    def walk(self, *args, **given):
        self.walks += 1
        return self._executor.walk(*args, **given)


def really_accepted(skips, prompts, count):
    """Accepted share of drafted tokens, in generations that draft one token per round."""
    executor = planted_executor("llama")
    stood = drafted = 0
    for prompt in prompts:
        engine = Engine(executor, FixedSkips(skips, StopRule(1)), Law(), Limits(count))
        outcomes = [done.outcome for done in engine.rounds(prompt.tokens) if done.outcome]
        stood += sum(o.accepted for o in outcomes)
        drafted += sum(o.drafted for o in outcomes)
    return stood / drafted


def test_acceptance_is_that_of_the_planted_sublayers():
    lab = planted_lab("llama")
    free, other = lab.acceptance([PLANTED, SOME], PROMPTS)
    assert free.value == 1.0
    assert free.count == 24 * len(PROMPTS)
    assert other.value < 0.9


def test_acceptance_is_close_to_that_of_generations():
    prompts = planted_prompts(each=5)
    (estimate,) = planted_lab("llama", new_tokens=40).acceptance([SOME], prompts)
    assert abs(estimate.value - really_accepted(SOME, prompts, 41)) < 0.1


def test_sampled_answers_are_judged_by_acceptance_probabilities():
    sampled = planted_lab("llama", sampled=True)
    free, other = sampled.acceptance([PLANTED, SOME], PROMPTS)
    assert free.value == pytest.approx(1.0)
    assert 0.0 < other.value < 1.0
    assert other.value != planted_lab("llama").acceptance([SOME], PROMPTS)[0].value
    again = planted_lab("llama", sampled=True)  # the seed depends only on the prompt
    assert again.acceptance([SOME], PROMPTS[::-1])[0].value == pytest.approx(other.value)
    plan = DraftPlan(PLANTED, StopRule(3))
    assert sampled.seconds_per_token(plan, PROMPTS[:1], 5) > 0.0


def test_an_answer_ends_where_the_model_ends_it():
    lab = planted_lab("llama")
    whole = lab.acceptance([PLANTED], PROMPTS[:1])[0].count
    engine = Engine(planted_executor("llama"), FixedSkips(PLANTED), Law(), Limits(6))
    tokens = [t for done in engine.rounds(PROMPTS[0].tokens) for t in done.tokens]
    cut = planted_lab("llama", ends=frozenset([tokens[3]]))
    assert cut.acceptance([PLANTED], PROMPTS[:1])[0].count == tokens.index(tokens[3]) + 1 < whole


def test_vectors_are_the_pooled_stream():
    executor, prompt = planted_executor("llama"), PROMPTS[0]
    row = torch.tensor([prompt.tokens])
    step = Step(row, torch.arange(row.shape[1]), 0, 0)
    taps = executor.walk(step, executor.new_cache(row.shape[1]), taps=(3, 2 * LAYERS)).taps
    lab = planted_lab("llama")
    for depth in (3, 2 * LAYERS):
        (found,) = lab.vectors([prompt], depth, "mean")
        torch.testing.assert_close(found, taps[depth][0].mean(0).float())
        (last,) = lab.vectors([prompt], depth, "last")
        torch.testing.assert_close(last, taps[depth][0, -1].float())


def test_seconds_are_divided_by_the_tokens_that_were_emitted(monkeypatch):
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("specframe.calibration.lab.perf_counter", lambda: next(clock))
    plan = DraftPlan(PLANTED, StopRule(3))
    seconds = planted_lab("llama").seconds_per_token(plan, PROMPTS[:2], 15)
    assert seconds == pytest.approx(6.0 / 30)


def test_progress_is_reported_for_answers_and_for_reading():
    told = []
    lab = planted_lab("llama", tell=lambda *line: told.append(line))
    lab.acceptance([SOME], PROMPTS)
    lab.vectors(PROMPTS[:2], 2, "mean")
    assert told[:3] == [("answering prompts", i, 3) for i in (1, 2, 3)]
    assert told[3:] == [("reading prompts", i, 2) for i in (1, 2)]


def test_nothing_is_measured_twice():
    executor = Counting(planted_executor("llama"))
    lab = ModelLab(executor, plain_costs(LAYERS), new_tokens=10)
    first = lab.acceptance([SOME], PROMPTS)
    walks = executor.walks
    assert lab.acceptance([SOME], PROMPTS) == first
    assert executor.walks == walks


def test_a_second_process_reads_what_the_first_measured(tmp_path):
    notes = tmp_path / "notes.jsonl"
    plan = DraftPlan(PLANTED, StopRule(2))
    lab = planted_lab("llama", notes=notes)
    first = lab.acceptance([SOME, PLANTED], PROMPTS), lab.seconds_per_token(plan, PROMPTS, 4)
    executor = Counting(planted_executor("llama"))
    again = ModelLab(executor, plain_costs(LAYERS), new_tokens=24, notes=notes)
    second = again.acceptance([SOME, PLANTED], PROMPTS), again.seconds_per_token(plan, PROMPTS, 4)
    assert second == first
    assert executor.walks == 0


def test_notes_cut_in_the_middle_of_a_line_lose_that_line_only(tmp_path):
    notes = tmp_path / "notes.jsonl"
    planted_lab("llama", notes=notes).acceptance([SOME, PLANTED], PROMPTS)
    whole = notes.read_text()
    notes.write_text(whole[:-9])
    lab = planted_lab("llama", notes=notes)
    lab.acceptance([SOME, PLANTED], PROMPTS)
    assert notes.read_text() == whole


def test_notes_of_another_model_are_not_used(tmp_path):
    notes = tmp_path / "notes.jsonl"
    planted_lab("llama", notes=notes, facts={"model": "a"}).acceptance([PLANTED], PROMPTS)
    executor = Counting(planted_executor("llama"))
    lab = ModelLab(executor, plain_costs(LAYERS), new_tokens=24, notes=notes, facts={"model": "b"})
    lab.acceptance([PLANTED], PROMPTS)
    assert executor.walks > 0


@pytest.mark.parametrize(("named", "ends"), [(None, set()), (0, {0}), ([3, 4], {3, 4})])
def test_answers_end_at_the_tokens_of_the_generation_config(named, ends):
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=named))
    assert ends_of(model) == ends


def test_notes_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        planted_lab("llama", notes=tmp_path / "file" / "notes.jsonl")


def test_a_note_that_cannot_be_added_is_refused(tmp_path):
    notes = tmp_path / "notes.jsonl"
    lab = planted_lab("llama", notes=notes)
    notes.unlink()
    notes.mkdir()
    with pytest.raises(ArtefactError, match="cannot be written"):
        lab.acceptance([PLANTED], PROMPTS)


def test_a_kill_while_notes_are_rewritten_loses_none(tmp_path, monkeypatch):
    notes = tmp_path / "notes.jsonl"
    planted_lab("llama", notes=notes).acceptance([PLANTED], PROMPTS)
    whole = notes.read_text()

    def killed(self, *given, **how):
        self.write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        planted_lab("llama", notes=notes)
    assert notes.read_text() == whole


def test_sampled_answers_use_a_generator_on_the_models_device(monkeypatch):
    """A generator on another device cannot sample from its distributions."""
    places, made = [], torch.Generator

    def watched(*given):
        places.extend(given)
        return made(*given)

    monkeypatch.setattr("specframe.calibration.lab.torch.Generator", watched)
    lab = planted_lab("llama", sampled=True)
    lab.answer(PROMPTS[:1])
    assert places
    assert set(places) == {planted_executor("llama").device}


def test_cached_keys_of_other_prompts_are_dropped_if_memory_is_short(monkeypatch):
    monkeypatch.setattr("specframe.calibration.lab.ROOM", 1)
    lab = planted_lab("llama")
    first = lab.acceptance([SOME], PROMPTS[:2])
    lab.acceptance([SOME], PROMPTS[2:])
    assert set(lab._estimators) == {PROMPTS[2].tokens}
    flipped = lab.acceptance([SOME.flip(0)], PROMPTS[:2])
    assert flipped != first
    assert set(lab._estimators) == {prompt.tokens for prompt in PROMPTS[:2]}


def test_a_measurement_without_prompts_is_refused():
    lab = planted_lab("llama")
    with pytest.raises(InvalidRequest, match="prompts"):
        lab.acceptance([SOME], ())
    with pytest.raises(InvalidRequest, match="prompts"):
        lab.vectors((), 0, "mean")


def test_model_facts_differ_for_other_weights():
    shape = ModelShape(1, 16, 31, 2, 1, 8, 24, 64)
    executor = planted_executor("llama")
    one, same, other = (planted_llama(shape, {}, seed=seed) for seed in (0, 0, 1))
    assert model_facts(one, executor) == model_facts(same, executor)
    assert model_facts(one, executor) != model_facts(other, executor)


def test_a_prompt_of_many_tokens_is_read_in_blocks():
    executor = planted_executor("llama")
    lab = ModelLab(executor, plain_costs(LAYERS), new_tokens=4)
    assert lab.acceptance([PLANTED], [Prompt(tuple(range(1, 61)) * 3)])[0].value == 1.0
