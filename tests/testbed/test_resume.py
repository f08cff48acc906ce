import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from specframe.testbed.training.checkpoints import latest_position, save_checkpoint
from specframe.testbed.training.recipe import TINY
from specframe.testbed.training.run import run_recipe, train

_BRIEF = replace(
    TINY,
    width=32,
    hidden=64,
    heads=2,
    entries=512,
    tokens=11_000,
    grow_at=3_500,
    drop_from=1_200,
    circuit_rests_until=1_200,
    hot_until=2_000,
    phrases_from=1_000,
    sums_from=5_000,
    pair_tokens=2_500,
    long_tokens=0,
    decay_tokens=2_500,
    warmup_tokens=500,
    batch_tokens=150,
    tokenizer_documents=20,
)
_PROGRAM = "from specframe.commands.cli import main; main()"


def _weights(folder: Path) -> bytes:
    return (folder / (folder / "latest").read_text() / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_a_run_in_pieces_ends_with_the_same_bits(tmp_path: Path) -> None:
    train(_BRIEF, tmp_path / "whole", lambda _: None)
    steps = latest_position(tmp_path / "whole").step
    assert steps > 5
    for stop in (2, steps - 3, None):  # before growth, after it, to the end
        train(_BRIEF, tmp_path / "pieces", lambda _: None, stop_after_steps=stop)
    assert latest_position(tmp_path / "pieces") == latest_position(tmp_path / "whole")
    assert _weights(tmp_path / "pieces") == _weights(tmp_path / "whole")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run after its first step."""
    folder = tmp_path_factory.mktemp("run")
    train(_BRIEF, folder, lambda _: None, stop_after_steps=1)
    return folder


def test_a_run_keeps_its_recipe_and_its_end_can_change(begun: Path) -> None:
    assert run_recipe(begun, "tiny", None, False) == _BRIEF
    assert run_recipe(begun, "tiny", 12_000, False).tokens == 12_000
    sooner = run_recipe(begun, "tiny", None, True)
    assert sooner.tokens == _BRIEF.grow_at + _BRIEF.decay_tokens


@pytest.mark.slow
def test_progress_says_how_long_the_run_will_take(tmp_path: Path) -> None:
    reports = []
    train(_BRIEF, tmp_path, reports.append, stop_after_steps=3)
    assert [progress.step for progress in reports] == [1, 2, 3]
    left = (_BRIEF.tokens - reports[-1].seen) / reports[-1].tokens_per_second
    assert reports[-1].seconds_left == pytest.approx(left)
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    arguments = "testbed train --size tiny --threads 1".split()
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    broken = [*command, "--out", str(tmp_path / "broken")]
    process = subprocess.Popen(broken, stdout=subprocess.DEVNULL)
    while not _is_half_way(tmp_path / "broken"):
        assert process.poll() is None
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(broken, check=True, capture_output=True)
    assert _weights(tmp_path / "broken") == _weights(tmp_path / "whole")


def _is_half_way(folder: Path) -> bool:
    position = latest_position(folder)
    return position is not None and position.seen > TINY.tokens // 2


def test_an_existing_checkpoint_is_not_written_again(begun: Path) -> None:
    kept = begun / (begun / "latest").read_text() / "weights.safetensors"
    before = kept.stat().st_mtime_ns
    save_checkpoint(begun, latest_position(begun), None, {})
    assert kept.stat().st_mtime_ns == before
