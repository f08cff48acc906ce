"""Commands that take long, on a tiny model in an empty folder, and where they can be disturbed."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from doubles.tiny import Tiny, tiny_model
from specframe.costs.measure import measured_profile
from specframe.doors.loading import Loaded
from specframe.executors.load import load_executor
from specframe.profilers.latency import LatencyGrid
from specframe.studies.framework import registry
from specframe.testbed.training import recipe

TINY = Tiny(layers=3, vocabulary=40, positions=160, dtype=torch.float32)
BRIEF = replace(
    recipe.TINY,
    width=32,
    hidden=64,
    heads=2,
    entries=512,
    tokens=600,
    grow_at=300,
    drop_from=100,
    circuit_rests_until=100,
    hot_until=200,
    phrases_from=100,
    sums_from=300,
    pair_tokens=100,
    long_tokens=0,
    decay_tokens=200,
    warmup_tokens=50,
    batch_tokens=150,
    tokenizer_documents=20,
)
GRID = """[grid]
strategies = ["static-bo"]
per_domain = 1
repeats = 1
new_tokens = 8
calibration_prompts = 4
calibration_seconds = 0.1
"""
ASKED = ("--prompts", "prompts.jsonl", "--new-tokens", "16")
SET = ("--set", "search=local", "--set", "evaluations=9")
# a function, and which of its calls is disturbed: a number, or the name of the file it writes
Disturbed = tuple[str, int | str]


@dataclass(frozen=True)
class Command:
    """A command line, what is left by it, and functions that it calls in each of its phases."""

    line: tuple[str, ...]
    made: tuple[str, ...]  # files that are there if it ends
    phases: dict[str, Disturbed]


LOAD, PRICE = ("specframe.rig:load", 1), ("specframe.costs.measure:profile_latency", 1)
PASS = "specframe.executors.fused.executor:FusedExecutor.logits"
WRITE = "pathlib:Path.replace"
PRICES = (WRITE, "manifest.json")
COMMANDS = {
    "generate": Command(
        ("generate", "hi", "--strategy", "knapspec", "--max-new-tokens", "9", "--json", "f.json"),
        ("f.json",),
        {"loading": LOAD, "pricing": PRICE, "keeping prices": PRICES, "asking": (PASS, 5)},
    ),
    "profile": Command(
        ("profile", "--budget", "0.1", "--out", "kept", "--json", "f.json", "--plot", "p.png"),
        ("f.json", "p.png", "kept/manifest.json"),
        {"loading": LOAD, "pricing": PRICE, "keeping prices": PRICES, "writing": (WRITE, "f.json")},
    ),
    "predict": Command(
        ("predict", *ASKED, "--contexts", "16", "--count", "2", "--json", "f.json"),
        ("f.json",),
        {"loading": LOAD, "pricing": PRICE, "asking": ("specframe.prediction.play:play", 1)},
    ),
    "predict --check": Command(
        ("predict", "--check", *ASKED, "--contexts", "16", "--count", "2", "--json", "f.json"),
        ("f.json",),
        {
            "predicting": ("specframe.prediction.check:predict_plans", 1),
            "measuring": ("specframe.prediction.check:race", 1),
        },
    ),
    "round": Command(
        ("round", "--model", "testbed", *ASKED, "--json", "f.json"),
        ("f.json",),
        {
            "loading": LOAD,
            "asking": ("specframe.rig:continue_prompts", 1),
            "rounding": ("specframe.calibration.rounding:round_to_inputs", 2),
        },
    ),
    "calibrate": Command(
        ("calibrate", "static-bo", "--out", "out", *ASKED, *SET, "--json", "f.json"),
        ("f.json", "out/manifest.json", "out/calibrated_on.json"),
        {
            "loading": LOAD,
            "pricing": PRICE,
            "asking": ("specframe.calibration.lab:continue_prompts", 1),
            "calibrating": ("specframe.calibration.lab:AcceptanceEstimator.estimate", 3),
            "writing": (WRITE, "calibrated_on.json"),
        },
    ),
    "bench": Command(
        ("bench", "--grid", "grid.toml", *ASKED[:2], "--run", "run", "--json", "f.json"),
        ("f.json", "run/results.json", "run/report.html"),
        {
            "loading": LOAD,
            "pricing": PRICE,
            "calibrating": ("specframe.calibration.lab:AcceptanceEstimator.estimate", 2),
            "asking": ("specframe.bench.station:Station.__call__", 3),
            "keeping rows": ("os:fsync", 2),
            "writing": (WRITE, "results.json"),
        },
    ),
    "study": Command(
        ("study", "made", "--out", "run", "--json", "f.json"),
        ("f.json", "run/report.html"),
        {"measuring": ("doubles.made_study:make", 2), "writing": (WRITE, "report.html")},
    ),
    "testbed train": Command(
        ("testbed", "train", "--size", "tiny", "--out", "run", "--json", "f.json"),
        ("f.json", "run/model/model.safetensors", "run/model/tokenizer.json"),
        {
            "training": ("specframe.testbed.training.step:Trainer.step", 1),
            "writing": ("safetensors.torch:save_file", 2),
            "exporting": ("specframe.testbed.model.folder:write_card", 1),
        },
    ),
}
CASES = [(name, phase) for name, command in COMMANDS.items() for phase in command.phases]


class Letters:
    """A tokenizer of letters."""

    chat_template = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [1 + ord(letter) % 38 for letter in text]}

    def decode(self, tokens: Any, **_: Any) -> str:
        return "".join(chr(97 + token % 26) for token in tokens)


@contextmanager
def place(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """`folder` as the working folder, with prompts and a grid, a cache and the tiny model."""
    lines = [{"prompt": f"{a}{b}{b}", "domain": a} for a in "xy" for b in "abcdefgh"]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (folder / "grid.toml").write_text(GRID, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SPECFRAME_CACHE", str(folder / "cache"))
        patch.setattr("specframe.rig.load", lambda name, **_: Loaded(tiny_model(TINY), Letters()))
        patch.setitem(recipe.SIZES, "tiny", BRIEF)
        patch.setitem(registry.MODULES, "made", "doubles.made_study")
        yield patch


def known_prices(folder: Path) -> None:
    """Measure once, so that the prices are in the cache in `folder`."""
    with place(folder):
        model = tiny_model(TINY)
        measured_profile(model, load_executor(model), LatencyGrid((8, 64), (1, 4, 16), 0.0))


def disturb(patch: pytest.MonkeyPatch, where: Disturbed, happens: Callable[[], None]) -> None:
    """Let something happen at a call of a function, before it does what it does."""
    name, when = where
    module, _, path = name.partition(":")
    owner = import_module(module)
    *parts, last = path.split(".")
    for part in parts:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), 0

    def disturbed(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == when or (isinstance(when, str) and Path(given[-1]).name == when):
            happens()
        return original(*given, **named)

    patch.setattr(owner, last, disturbed)


def half_written(folder: Path) -> list[str]:
    """Files that are temporary, or whose content does not match their name."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if not _whole(path)]


def _whole(path: Path) -> bool:
    if str(os.getpid()) in path.name or path.suffix in (".partial", ".new"):
        return False
    if path.suffix == ".safetensors":
        load_file(path)
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".jsonl":
        return all(map(json.loads, path.read_text(encoding="utf-8").splitlines()))
    return True
