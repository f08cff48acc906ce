"""The training run: a folder of tokenizer, checkpoints and curve, which can be resumed."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specframe.errors import ArtefactError, InvalidConfig
from specframe.storage.user_cache import append_line, read_json, whole_lines, write_json, writing
from specframe.storage.whole_folder import filling
from specframe.testbed.model.tokenizer import train_tokenizer
from specframe.testbed.training.checkpoints import latest_position, load_checkpoint, save_checkpoint
from specframe.testbed.training.growth import empty_model, new_model
from specframe.testbed.training.recipe import SIZES, Recipe
from specframe.testbed.training.step import Losses, Trainer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TOKENIZER, _CURVE, _RECIPE = "tokenizer", "curve.jsonl", "recipe.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """Reported after each step."""

    step: int
    seen: int
    total: int
    tokens_per_second: float
    seconds_left: float
    losses: Losses


def run_recipe(folder: Path, size: str, tokens: int | None, decay_now: bool) -> Recipe:
    """The recipe for a run in a folder: the saved one if it has started; the end can change."""
    recipe = _begun(folder, size)
    if tokens is not None:
        recipe = replace(recipe, tokens=tokens)
    if decay_now:
        position = latest_position(folder)
        seen = position.seen if position else 0
        recipe = replace(recipe, tokens=max(seen, recipe.grow_at) + recipe.decay_tokens)
    return recipe


def _begun(folder: Path, size: str) -> Recipe:
    if size not in SIZES:
        raise InvalidConfig.of("train", "size", f"one of {', '.join(SIZES)}", size)
    facts: Any = read_json(folder / _RECIPE)
    if facts is None:
        return SIZES[size]
    try:
        facts |= {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
        recipe = Recipe(**facts)
    except (AttributeError, TypeError) as error:
        raise ArtefactError(
            f"{folder / _RECIPE} holds no recipe: {error}. Name another folder."
        ) from error
    if recipe.name != size:
        raise InvalidConfig.of("train", "size", f"{recipe.name}, as the run in {folder}", size)
    return recipe


def train(
    recipe: Recipe,
    folder: Path,
    report: Callable[[Progress], None],
    checkpoint_seconds: float = 180.0,
    stop_after_steps: int | None = None,
) -> Trainer:
    """Run the recipe in a folder, from its latest checkpoint if it has one."""
    write_json(folder / _RECIPE, asdict(recipe))
    with writing(folder):
        trainer = resume(recipe, folder)
        _run(trainer, folder, report, checkpoint_seconds, stop_after_steps)
    return trainer


def resume(recipe: Recipe, folder: Path) -> Trainer:
    """The trainer at the folder's latest checkpoint, or at the beginning."""
    tokenizer = run_tokenizer(recipe, folder)
    position = latest_position(folder)
    if position is None:
        return Trainer(recipe, tokenizer, new_model(recipe), None)
    model = empty_model(recipe, position.grown)
    moments = load_checkpoint(folder, model)
    trainer = Trainer(recipe, tokenizer, model, position)
    trainer.optimiser.restore(moments)
    return trainer


def run_tokenizer(recipe: Recipe, folder: Path) -> "PreTrainedTokenizerFast":
    """The run's tokenizer, trained on first use."""
    from transformers import PreTrainedTokenizerFast

    kept, last = folder / _TOKENIZER, "tokenizer.json"
    if not (kept / last).exists():
        trained = train_tokenizer(recipe.entries, recipe.tokenizer_documents)
        with filling(kept, last) as new, writing(kept):
            trained.save_pretrained(new)
    return PreTrainedTokenizerFast.from_pretrained(kept)


def _run(
    trainer: Trainer,
    folder: Path,
    report: Callable[[Progress], None],
    checkpoint_seconds: float,
    stop: int | None,
) -> None:
    if (folder / _CURVE).exists():
        whole_lines(folder / _CURVE)
    saved = begun = time.monotonic()
    before = trainer.position.seen
    while trainer.position.seen < trainer.recipe.tokens and (
        stop is None or trainer.position.step < stop
    ):
        losses = trainer.step()
        speed = (trainer.position.seen - before) / (time.monotonic() - begun)
        left = (trainer.recipe.tokens - trainer.position.seen) / speed
        position = trainer.position
        progress = Progress(
            position.step, position.seen, trainer.recipe.tokens, speed, left, losses
        )
        _append(folder / _CURVE, progress)
        report(progress)
        if time.monotonic() - saved > checkpoint_seconds:
            _save(trainer, folder)
            saved = time.monotonic()
    _save(trainer, folder)


def _save(trainer: Trainer, folder: Path) -> None:
    save_checkpoint(folder, trainer.position, trainer.model, trainer.optimiser.state())


def _append(path: Path, progress: Progress) -> None:
    line = {
        "step": progress.step,
        "seen": progress.seen,
        "full": progress.losses.full,
        "skipped": progress.losses.skipped,
    }
    append_line(path, json.dumps(line))
