"""One training step: micro-batches of one domain each, each with its own dropped sublayers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from specframe.testbed.corpus import DOMAINS
from specframe.testbed.training import network
from specframe.testbed.training.batches import Batch, Source, Stream
from specframe.testbed.training.checkpoints import Position
from specframe.testbed.training.copying import is_circuit
from specframe.testbed.training.dropping import kept_in_core, kept_when_grown
from specframe.testbed.training.growth import grow, grown_name
from specframe.testbed.training.muon import MixedOptimiser, Rates
from specframe.testbed.training.recipe import Recipe, rate_factor

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_SOURCES = (
    *(Source(domain) for domain in DOMAINS),
    Source("echo"),
    Source("ledger", longest=512),
    *(Source(domain, most_exemplars=3, longest=768) for domain in DOMAINS),
    Source("long-ledger"),
    Source("phrase"),
    Source("sums"),
)
_ECHO, _LEDGER, _SHOTS = len(DOMAINS), len(DOMAINS) + 1, len(DOMAINS) + 2
_LONG = _SHOTS + len(DOMAINS)
_PHRASE, _TRANSLATION = _LONG + 1, DOMAINS.index("translation")
_SUMS = _PHRASE + 1


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one step, by source."""

    full: dict[str, float]
    skipped: dict[str, float]


class Trainer:
    """The model, the optimiser and the streams of a run."""

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: "PreTrainedTokenizerFast",
        model: "LlamaForCausalLM",
        position: Position | None,
    ) -> None:
        self._sublayers = (
            network.compiled_sublayers() if recipe.compiled else network.plain_sublayers()
        )
        self.recipe = recipe
        self.model = model
        self.optimiser = MixedOptimiser(model.named_parameters())
        self.position = position or Position(0, 0, False, ((0, 0),) * len(_SOURCES))
        self._streams = [
            Stream(source, tokenizer, recipe.batch_tokens, recipe.prompt_weight, chunk, place)
            for source, (chunk, place) in zip(_SOURCES, self.position.streams, strict=True)
        ]

    def step(self) -> Losses:
        """Grow if due, then take one optimiser step."""
        if not self.position.grown and self.position.seen >= self.recipe.grow_at:
            self._grow()
        batches = [self._streams[number].next() for number in self._turns()]
        losses = Losses({}, {})
        for slot, batch in enumerate(batches):
            self._learn(
                batch,
                Random(f"{self.recipe.seed}/{self.position.step}/{slot}"),
                losses,
                len(batches),
            )
        if self.position.seen < self.recipe.circuit_rests_until:
            self._rest_circuit()
        self.optimiser.step(self._rates())
        self.position = replace(
            self.position,
            step=self.position.step + 1,
            seen=self.position.seen + sum(batch.tokens.numel() for batch in batches),
            streams=tuple((stream.chunk, stream.place) for stream in self._streams),
        )
        return losses

    def _turns(self) -> list[int]:
        step = self.position.step
        extra = (_ECHO, _LEDGER, _SHOTS + step // 3 % len(DOMAINS))[step % 3]
        # the hardest domain has two batches per step
        second = _PHRASE if self.position.seen >= self.recipe.phrases_from else _TRANSLATION
        turns = [*range(len(DOMAINS)), second, extra]
        if self.position.seen >= self.recipe.sums_from:
            turns += [_SUMS] * 3  # about a third of the tokens
        late = self.position.seen >= self.recipe.tokens - self.recipe.long_tokens
        return [*turns, _LONG] if late and step % 2 else turns

    def _rates(self) -> Rates:
        recipe, factor = self.recipe, rate_factor(self.recipe, self.position.seen)
        later = self.position.seen >= recipe.hot_until
        rates = recipe.matrix_rates, recipe.embedding_rates, recipe.norm_rates
        return Rates(*(factor * pair[later] for pair in rates))

    def _rest_circuit(self) -> None:
        for name, parameter in self.model.named_parameters():
            if is_circuit(name):
                parameter.grad = None

    def _grow(self) -> None:
        state = self.optimiser.state()
        self.model = grow(self.recipe, self.model)
        self.optimiser = MixedOptimiser(self.model.named_parameters())
        fresh = self.optimiser.state()
        for key, value in state.items():
            kind, _, name = key.partition(".")
            fresh[f"{kind}.{grown_name(self.recipe, name)}" if name else key] = value
        self.optimiser.restore(fresh)
        self.position = replace(self.position, grown=True)

    def _learn(self, batch: Batch, rng: Random, losses: Losses, parts: int) -> None:
        if self.position.seen < self.recipe.drop_from:
            loss = self._learn_once(batch, [True] * (2 * self.recipe.core_layers), (), losses)
        elif not self.position.grown:
            loss = self._learn_once(batch, kept_in_core(self.recipe, batch.domain, rng), (), losses)
        elif self.position.seen >= self.recipe.tokens - self.recipe.pair_tokens:
            loss = self._learn_pair(batch, rng, losses)
        else:
            share = 0.0 if rng.random() < 0.3 else 0.25 + 0.5 * rng.random()
            kept = kept_when_grown(self.recipe, batch.domain, share, rng)
            loss = self._learn_once(batch, kept, self._exits(rng) if share == 0 else (), losses)
        (loss / parts).backward()

    def _exits(self, rng: Random) -> tuple[int, ...]:
        return (rng.choice(self.recipe.exit_layers),)

    def _learn_once(
        self, batch: Batch, kept: list[bool], exits: tuple[int, ...], losses: Losses
    ) -> Tensor:
        trace = self._walk(batch, kept, exits)
        loss = answer_loss(self._logits(trace.final, batch), batch)
        (losses.full if all(kept) else losses.skipped)[batch.domain] = loss.item()
        return loss + self._exit_loss(trace, batch)

    def _learn_pair(self, batch: Batch, rng: Random, losses: Losses) -> Tensor:
        full = self._walk(batch, [True] * (2 * self.recipe.layers), self._exits(rng))
        target = self._logits(full.final, batch)
        share = rng.choice((0.3, 0.5, 0.5, 0.6, 0.7, 0.7))
        skipped = self._walk(batch, kept_when_grown(self.recipe, batch.domain, share, rng), ())
        guess = self._logits(skipped.final, batch)
        loss, guess_loss = answer_loss(target, batch), answer_loss(guess, batch)
        losses.full[batch.domain], losses.skipped[batch.domain] = loss.item(), guess_loss.item()
        agreement = F.kl_div(
            guess.log_softmax(-1),
            target.detach().log_softmax(-1),
            log_target=True,
            reduction="none",
        )
        apart = (agreement.sum(-1) * _weights(batch)).sum() / _weights(batch).sum()
        return loss + 0.3 * guess_loss + apart + self._exit_loss(full, batch)

    def _exit_loss(self, trace: network.Trace, batch: Batch) -> Tensor:
        if not trace.exits:
            return torch.zeros(())
        losses = [answer_loss(self._logits(rows, batch), batch) for rows in trace.exits]
        return self.recipe.exit_weight * torch.stack(losses).sum()

    def _walk(self, batch: Batch, kept: list[bool], exits: Sequence[int]) -> network.Trace:
        with torch.autocast("cpu", torch.bfloat16):
            return network.run_stream(self.model, batch.tokens, kept, exits, self._sublayers)

    def _logits(self, rows: Tensor, batch: Batch) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network.score_tokens(self.model, rows[:, :-1][batch.weights[:, 1:] > 0])


def answer_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted mean cross-entropy of tokens with a weight above 0; logits [N, V]."""
    wanted = batch.tokens[:, 1:][batch.weights[:, 1:] > 0]
    weights = _weights(batch)
    return (F.cross_entropy(logits, wanted, reduction="none") * weights).sum() / weights.sum()


def _weights(batch: Batch) -> Tensor:
    weights = batch.weights[:, 1:]
    return weights[weights > 0]
