"""What calibration may do with a model: judge skip sets, time plans, read prompts.

Measurements are cached, and written to a file if one is named: a calibration that was killed and
started again repeats the same steps without measuring twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from specframe.contract.constant_plan import ConstantPlan
from specframe.contract.pooling import Pooling
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.costs.model import CostModel
from specframe.errors import InvalidRequest
from specframe.executors.executor import Executor
from specframe.executors.kept_rounding import parameters_digest
from specframe.executors.support import is_sharded
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation, continue_prompts, text_states
from specframe.profilers.vectors import prompt_vectors
from specframe.storage.user_cache import append_line, write_text, writing
from specframe.types import DraftPlan, Estimate, Prompt, SkipSet

__all__ = ["ModelLab", "ends_of", "model_facts"]

ROOM = 2 << 30  # bytes: limit for keys and values of answered prompts
Tell = Callable[[str, int, int], None]


class ModelLab:
    """A `Lab` over a model's executor and the prices of its machine.

    `ends` are the tokens after which the target stops. With `sampled`, its answers are sampled, and
    a drafted token counts with its probability of being accepted in sampling. `notes` names a file
    that keeps what was measured; it may only be used again with the same model and answers.
    """

    at_once = 1

    def __init__(
        self,
        executor: Executor,
        costs: CostModel,
        *,
        new_tokens: int = 64,
        ends: frozenset[int] = frozenset(),
        sampled: bool = False,
        facts: Mapping[str, str] | None = None,
        tell: Tell | None = None,
        notes: Path | None = None,
    ) -> None:
        self.shape, self.costs, self.new_tokens = executor.shape, costs, new_tokens
        self.facts: Mapping[str, str] = dict(facts or {})
        self._executor, self._ends, self._sampled, self._tell = executor, ends, sampled, tell
        kept_for = {"new_tokens": str(new_tokens), "sampled": str(sampled)}
        self._notes = _Notes.opened(notes, {**self.facts, **kept_for})
        self._estimators: dict[tuple[int, ...], AcceptanceEstimator] = {}
        self._item_bytes = executor.dtype.itemsize
        self._room = ROOM

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """See `Lab.answer`."""
        missing = [prompt for prompt in prompts if not self.is_answered(prompt.tokens)]
        for done, prompt in enumerate(missing, start=1):
            self._continuation(prompt.tokens)
            self.tell("answering prompts", done, len(missing))

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        """See `Lab.acceptance`."""
        _require(prompts)
        name = _digest(prompt.tokens for prompt in prompts)
        keys = {wanted: _share_name(wanted, name) for wanted in skips}
        unknown = [wanted for wanted in keys if keys[wanted] not in self._notes.known]
        for wanted, chances in zip(unknown, self._judged(unknown, prompts), strict=True):
            self._notes.keep(keys[wanted], [sum(chances), len(chances)])
        found = [self._notes.known[keys[wanted]] for wanted in skips]
        return [Estimate.of_share(hits, int(places)) for hits, places in found]

    def expect(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        """See `Lab.expect`; one process gains nothing from it."""

    def judged_on(self, prompts: Sequence[Prompt], skips: Sequence[SkipSet]) -> set[SkipSet]:
        """The sets whose acceptance on exactly these prompts is known."""
        name = _digest(prompt.tokens for prompt in prompts)
        return {wanted for wanted in skips if _share_name(wanted, name) in self._notes.known}

    def is_answered(self, tokens: tuple[int, ...]) -> bool:
        """Whether the answer to this prompt is known."""
        return _answer_name(tokens) in self._notes.known

    def keep_answer(self, tokens: tuple[int, ...], answer: Sequence[int]) -> None:
        """Store an answer that was generated elsewhere."""
        if not self.is_answered(tokens):
            self._notes.keep(_answer_name(tokens), list(answer))

    def answer_to(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The target's own answer to a prompt."""
        return self._continuation(tokens).tokens[len(tokens) :]

    def chances(
        self, tokens: tuple[int, ...], answer: Sequence[int], sets: Sequence[SkipSet]
    ) -> list[list[float]]:
        """Acceptance probabilities of each set at every position of a given answer."""
        self.keep_answer(tokens, answer)
        judge = self._judge(Prompt(tokens), [Prompt(tokens)])
        return [_flat(judge.estimate(skips).chances) for skips in sets]

    def seconds_per_token(
        self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int
    ) -> float:
        """See `Lab.seconds_per_token`."""
        _require(prompts)
        key = f"seconds {plan} {new_tokens} {_digest(prompt.tokens for prompt in prompts)}"
        if key not in self._notes.known:
            self._notes.keep(key, self._time(plan, prompts, new_tokens))
        seconds: float = self._notes.known[key]
        return seconds

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str) -> Tensor:
        """See `Lab.vectors`."""
        _require(prompts)
        found = []
        for done, prompt in enumerate(prompts, start=1):
            found.append(prompt_vectors(self._executor, [prompt.tokens], depth, Pooling(pooling)))
            self.tell("reading prompts", done, len(prompts))
        return torch.cat(found).cpu()

    def states(self, prompt: Prompt, depths: Sequence[int]) -> Mapping[int, Tensor]:
        """See `Lab.states`."""
        text = self._continuation(prompt.tokens)
        taps = text_states(self._executor, text.tokens[:-1], depths)
        # a clone made here, outside of inference, may take part in training
        return {depth: rows[0].clone() for depth, rows in taps.items()}

    def read_out(self, states: Tensor) -> Tensor:
        """See `Lab.read_out`."""
        return self._executor.read_out(states)

    def tell(self, what: str, done: int, of: int) -> None:
        """See `Lab.tell`."""
        if self._tell is not None:
            self._tell(what, done, of)

    def _judged(self, sets: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Iterable[list[float]]:
        """Acceptance probabilities of each set at every position of all answers."""
        for skips in sets:
            judged = [self._judge(prompt, prompts).estimate(skips) for prompt in prompts]
            yield [chance for one in judged for chance in _flat(one.chances)]

    def _judge(self, prompt: Prompt, prompts: Sequence[Prompt]) -> AcceptanceEstimator:
        if prompt.tokens not in self._estimators:
            self.answer(prompts)
            self._make_room(len(prompt.tokens), {prompt.tokens for prompt in prompts})
            text = self._continuation(prompt.tokens)
            law = self._law(prompt.tokens)
            self._estimators[prompt.tokens] = AcceptanceEstimator(self._executor, [text], law)
        return self._estimators[prompt.tokens]

    def _make_room(self, prompt_length: int, wanted: Set[tuple[int, ...]]) -> None:
        """Drop keys and values of other prompts if memory is short; answers are kept."""
        needed = self._bytes(prompt_length) + sum(map(self._bytes, map(len, self._estimators)))
        for tokens in [tokens for tokens in self._estimators if tokens not in wanted]:
            if needed <= self._room:
                return
            needed -= self._bytes(len(tokens))
            del self._estimators[tokens]

    def _bytes(self, prompt_length: int) -> int:
        shape, columns = self.shape, prompt_length + self.new_tokens
        return columns * shape.layers * 2 * shape.kv_heads * shape.head_size * self._item_bytes

    def _continuation(self, tokens: tuple[int, ...]) -> Continuation:
        key = _answer_name(tokens)
        if key not in self._notes.known:
            (text,) = continue_prompts(
                self._executor, [tokens], self.new_tokens, self._law(tokens), self._ends
            )
            self._notes.keep(key, text.tokens[len(tokens) :])
        return Continuation((*tokens, *self._notes.known[key]), len(tokens))

    def _law(self, tokens: tuple[int, ...]) -> Law:
        """Greedy, or sampling with a seed that depends on the prompt only."""
        if not self._sampled:
            return Law()
        seed = int(_digest(tokens), 16) % (1 << 63)
        return Law(choose=seeded_choice(torch.Generator(self._executor.device).manual_seed(seed)))

    def _time(self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int) -> float:
        limits = Limits(new_tokens, self._ends)
        emitted, began = 0, perf_counter()
        for prompt in prompts:
            law = self._law(prompt.tokens)
            engine = Engine(self._executor, ConstantPlan(plan), law, limits, self.costs)
            emitted += sum(len(done.tokens) for done in engine.rounds(prompt.tokens))
        return (perf_counter() - began) / emitted


def model_facts(model: Any, executor: Executor) -> dict[str, str]:
    """Facts for which a calibration of this model is valid, as text.

    The weights are part of it only if this process has all of them.
    """
    config = model.config.to_dict()
    config.pop("_name_or_path", None)
    return {
        "model": str(getattr(model.config, "_name_or_path", "")) or type(model).__name__,
        "config": _digest(sorted(config.items(), key=str)),
        **({"parameters": parameters_digest(model)} if _is_whole(model) else {}),
        "dtype": str(executor.dtype).removeprefix("torch."),
        "executor": executor.name,
        "shape": f"{executor.shape.layers} x {executor.shape.hidden}",
    }


def _is_whole(model: Any) -> bool:
    """False if weights are offloaded, or sharded over several processes."""
    offloaded = any(parameter.device.type == "meta" for parameter in model.parameters())
    return not offloaded and not is_sharded(model)


def ends_of(model: Any) -> frozenset[int]:
    """The end tokens of the generation config."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset([ends] if isinstance(ends, int) else ends)


@dataclass
class _Notes:
    """Measurements by name; each is a line of the file, if there is one."""

    path: Path | None
    known: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def opened(cls, path: Path | None, facts: Mapping[str, str]) -> _Notes:
        """Read notes with the same facts; other notes are discarded."""
        notes = cls(path)
        if path is None:
            return notes
        head = json.dumps(dict(facts), sort_keys=True)
        with writing(path):
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            notes.known = _read(lines[1:]) if lines[:1] == [head] else {}
            path.parent.mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(note) for note in notes.known.items()]
        write_text(path, "\n".join([head, *kept]) + "\n")  # a kill loses nothing measured
        return notes

    def keep(self, name: str, value: Any) -> None:
        """Store a measurement and write it at once."""
        self.known[name] = value
        if self.path is not None:
            append_line(self.path, json.dumps([name, value]))


def _read(lines: Sequence[str]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for line in lines:
        try:
            name, value = json.loads(line)
        except ValueError:
            break  # the line that was being written when the process was killed
        known[name] = value
    return known


def _state(skips: SkipSet) -> str:
    """Text for the skipped sublayers and for those on low-bit weights, if there are any."""
    if not skips.low_bits:
        return f"{skips.bits:x}"
    return f"{skips.bits:x} {skips.low:x} {skips.low_bits} {int(skips.low_head)}"


def _flat(chances: Iterable[Iterable[float]]) -> list[float]:
    return [chance for text in chances for chance in text]


def _share_name(skips: SkipSet, prompts: str) -> str:
    return f"accepted {_state(skips)} {prompts}"


def _answer_name(tokens: tuple[int, ...]) -> str:
    return f"answer {_digest(tokens)}"


def _require(prompts: Sequence[Prompt]) -> None:
    if not prompts:
        raise InvalidRequest("A measurement needs prompts. Got none.")


def _digest(parts: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()[:16]
