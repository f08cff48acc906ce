"""`specframe round`: weights are fitted once, tested on other prompts, stored if better."""

import json

import pytest
from doubles.bad_places import Letters
from doubles.command_line import specframe
from doubles.tiny import Tiny, tiny_model

from specframe.calibration import rounding
from specframe.doors.loading import Loaded
from specframe.executors.kept_rounding import rounding_file
from specframe.types import Estimate


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A tiny model by the name of `here`."""
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "cache"))
    made = tiny_model(Tiny())
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(made, Letters()))
    return made


@pytest.fixture
def arguments(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"the quick brown fox {i}"} for i in range(6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ("--model", "here", "--prompts", path, "--json", tmp_path / "f.json")


def figures(arguments):
    return json.loads(arguments[-1].read_text())


def accepted(monkeypatch, nearest, fitted):
    """Set the acceptance of nearest and of fitted rounding."""
    found = iter((nearest, fitted))

    def estimate(hits, count):
        return Estimate(next(found), 0.0, 1.0, count)

    monkeypatch.setattr(rounding.Estimate, "of_share", staticmethod(estimate))


def test_better_weights_are_stored_and_not_made_twice(monkeypatch, capsys, model, arguments):
    accepted(monkeypatch, 0.8, 0.9)
    assert specframe(monkeypatch, "round", *arguments) == 0
    assert rounding_file(model).is_file()
    found = figures(arguments)
    assert (found["acceptance_nearest"], found["acceptance_fitted"]) == (0.8, 0.9)
    assert found["kept"]
    assert found["weights"] == 15
    assert specframe(monkeypatch, "round", *arguments) == 0
    assert "stored already" in capsys.readouterr().out
    assert not figures(arguments)["fitted"]


def test_worse_weights_are_not_stored(monkeypatch, capsys, model, arguments):
    accepted(monkeypatch, 0.9, 0.8)
    assert specframe(monkeypatch, "round", *arguments) == 0
    assert not rounding_file(model).exists()
    assert "Nothing is stored" in capsys.readouterr().out


def test_weights_are_tested_on_prompts_that_they_were_not_fitted_to(monkeypatch, model, arguments):
    seen = {}

    def note(model, executor, answers, unseen, tell):
        seen.update(fitted=answers, judged=unseen)
        raise SystemExit(0)

    monkeypatch.setattr("specframe.rig.fit_rounding", note)
    specframe(monkeypatch, "round", *arguments)
    prompts = [
        {answer.tokens[: answer.prompt_length] for answer in seen[part]}
        for part in ("fitted", "judged")
    ]
    assert all(prompts)
    assert not prompts[0] & prompts[1]


def test_a_quantised_model_is_refused(monkeypatch, capsys, model, arguments):
    monkeypatch.setattr(
        "specframe.executors.fused.executor.FusedExecutor.refuses_low", lambda self: "it is so"
    )
    assert specframe(monkeypatch, "round", *arguments) == 2
    assert "no weights to round: it is so" in capsys.readouterr().err
