"""`specframe calibrate`: from prompts to a folder that `generate` can use."""

import json
import re
from types import SimpleNamespace

import pytest
from doubles.bad_places import Letters
from doubles.command_line import specframe
from doubles.written_lab import plain_costs

from specframe.contract.naming import strategy_from
from specframe.doors.loading import Loaded
from specframe.prompts.source import prompts_from
from specframe.strategies.knn_ssd import KnnSsd
from specframe.testing import planted_llama
from specframe.types import ModelShape, SkipSet

LAYERS = 4
SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
PLANTED = SkipSet.from_sublayers(LAYERS, [2, 3, 5, 6])
BRIEF = ("--set", "search=local", "--set", "evaluations=9", "--new-tokens", "8")
QUICK = ("--set", "search=local", "--set", "evaluations=60", "--new-tokens", "16")


@pytest.fixture
def planted(monkeypatch):
    """A planted model named `here`, with given prices."""
    noise = {i: 0.0 if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
    model = planted_llama(SHAPE, noise)
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(model, Letters()))
    profile = SimpleNamespace(costs=plain_costs(LAYERS))
    monkeypatch.setattr("specframe.rig.measured_profile", lambda *a, **k: profile)


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = [
        {"prompt": f"{word}{word[::-1]}{i}", "domain": domain}
        for i in range(6)
        for domain, word in (("low", "aabbcc"), ("high", "xxyyzz"))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def calibrate(monkeypatch, *arguments):
    return specframe(monkeypatch, "calibrate", *arguments)


def test_a_calibrated_folder_makes_a_strategy(monkeypatch, capsys, planted, prompts, tmp_path):
    out, figures = tmp_path / "out", tmp_path / "f.json"
    arguments = ("static-bo", "--model", "here", "--prompts", prompts, "--out", out)
    assert calibrate(monkeypatch, *arguments, *QUICK, "--json", figures) == 0
    found = json.loads(figures.read_text())
    (row,) = found["sets"].values()
    assert SkipSet.of(LAYERS, attention=row["attention"], mlp=row["mlp"]) == PLANTED
    assert row["acceptance"] == 1.0
    assert (found["selector"], found["preset"], found["prompts"]) == ("static-bo", "best", 12)
    strategy = strategy_from(str(out), SHAPE)
    assert strategy.found.judged.skips == PLANTED
    assert {n: one.figures() for n, one in strategy.skip_sets().items()} == found["sets"]
    assert {"warnings", "notes", "best_so_far", "ended", "incumbents"} <= set(found)
    captured = capsys.readouterr()
    assert str(out) in captured.out.replace("\n", "")
    assert "of 60" in captured.err
    chosen = prompts_from(str(prompts), Letters(), per_domain=20)
    digests = [prompt.digest for prompt in chosen]
    assert json.loads((out / "calibrated_on.json").read_text()) == digests
    assert not list(out.glob("*.jsonl"))


def test_each_domain_is_calibrated(monkeypatch, planted, prompts, tmp_path):
    out = tmp_path / "out"
    arguments = ("knn-ssd", "--model", "here", "--prompts", prompts, "--out", out)
    assert calibrate(monkeypatch, *arguments, *BRIEF, "--set", "domain-evaluations=5") == 0
    strategy = strategy_from(str(out), SHAPE)
    assert isinstance(strategy, KnnSsd)
    assert set(strategy.found.sets) == {"mixed", "low", "high"}


def test_an_interrupted_calibration_is_resumed(monkeypatch, planted, prompts, tmp_path):
    out = tmp_path / "out"
    arguments = ("static-bo", "--model", "here", "--prompts", prompts, "--out", out, *QUICK)
    measured = []
    from specframe.calibration.lab import AcceptanceEstimator

    estimate = AcceptanceEstimator.estimate

    def counted(self, skips):
        measured.append(skips)
        if len(measured) == 90:
            raise KeyboardInterrupt
        return estimate(self, skips)

    monkeypatch.setattr(AcceptanceEstimator, "estimate", counted)
    assert calibrate(monkeypatch, *arguments) == 130
    assert not (out / "manifest.json").exists()
    before = len(measured)
    assert calibrate(monkeypatch, *arguments) == 0
    resumed = len(measured) - before
    assert calibrate(monkeypatch, *arguments[:-1], "15", "--out", tmp_path / "other") == 0
    assert (out / "manifest.json").exists()
    whole = len(measured) - before - resumed
    assert resumed < whole - 50


@pytest.mark.parametrize(
    ("strategy", "more", "message"),
    [
        ("fixed", (), "needs no calibration.*static-bo"),
        ("static-bu", (), "static-bo"),
        ("static-bo", ("--prompts", "two.jsonl"), "at least 3 different prompts"),
        ("static-bo", ("--prompts", "all.jsonl", "--set", "evaluation=3"), "'evaluations'"),
        (
            "static-bo",
            ("--prompts", "all.jsonl", "--set", "draft_stop=gain:8"),
            "draft_stop is set when a strategy is used",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused_in_one_line(
    monkeypatch, capsys, planted, prompts, tmp_path, strategy, more, message
):
    prompts.rename(tmp_path / "all.jsonl")
    (tmp_path / "two.jsonl").write_text('{"prompt": "abc"}\n{"prompt": "abd"}\n')
    monkeypatch.chdir(tmp_path)
    assert calibrate(monkeypatch, strategy, "--model", "here", "--out", "o", *more) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.slow
def test_the_small_testbed_is_calibrated_on_its_validation_split(monkeypatch, tmp_path):
    from specframe import testbed

    model, tokenizer = testbed.load_tiny()
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(model, tokenizer))
    out = tmp_path / "out"
    quick = ("--per-domain", "4", "--set", "evaluations=40", "--set", "domain_evaluations=20")
    assert calibrate(monkeypatch, "knn-ssd", "--out", out, *quick) == 0
    seen = set(json.loads((out / "calibrated_on.json").read_text()))
    for split, expected in (("validation", 20), ("test", 0), ("train", 0)):
        chosen = prompts_from("testbed", tokenizer, per_domain=4, split=split)
        assert sum(prompt.digest in seen for prompt in chosen) == expected


def test_training_uses_the_same_command_and_shows_both_acceptances(
    monkeypatch, capsys, planted, prompts, tmp_path
):
    out, figures = tmp_path / "out", tmp_path / "f.json"
    settings = ("--set", "layers=1", "--set", "epochs=1", "--new-tokens", "8")
    files = ("--out", out, "--prompts", prompts, "--json", figures)
    assert calibrate(monkeypatch, "kangaroo", *files, *settings) == 0
    found = json.loads(figures.read_text())
    assert found["tokens"] == 2 * 8
    wanted = f"acceptance on unseen prompts {found['acceptance']:.3f}, of the bare exit "
    assert wanted + f"{found['bare_exit']:.3f}" in capsys.readouterr().out
    assert strategy_from(str(out), SHAPE).found.adapter.depth == 2
