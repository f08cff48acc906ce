"""`specframe profile` and `specframe predict` from the outside."""

import json

import pytest
import torch
from doubles.command_line import specframe
from doubles.tiny import Tiny, tiny_model

from specframe.doors.loading import Loaded

TINY = Tiny(layers=3, vocabulary=40, dtype=torch.float32, positions=256)
GRID = ("--contexts", "8,40", "--rows", "1,4,9", "--budget", "0.1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Each grid of prices is measured once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def tiny_everywhere(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(cache))
    replace_load(monkeypatch, lambda name: Loaded(tiny_model(TINY), None))
    monkeypatch.chdir(tmp_path)


def replace_load(monkeypatch, load):
    monkeypatch.setattr("specframe.rig.load", load)


def figures(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_profile_is_printed_plotted_and_written(monkeypatch, capsys, tmp_path):
    files = ("--json", "p.json", "--plot", "p.png")
    assert specframe(monkeypatch, "profile", "--model", "any", *GRID, *files) == 0
    shown = capsys.readouterr().out
    assert "attention costs more" in shown or "attention never costs more" in shown
    assert "R²" in shown
    assert "worst residual" in shown
    found = figures(tmp_path / "p.json")
    assert found["kinds"][0]["attention"]["contexts"] == [8, 40]
    assert found["head"]["rows"] == [1, 4, 9]
    assert found["simulated"] == ""
    assert found["half_skipped"]["speedup_at_0.9"] > found["half_skipped"]["speedup_at_0.7"]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_each_state_of_a_sublayer_has_a_line_and_its_figures(monkeypatch, capsys, tmp_path):
    assert specframe(monkeypatch, "profile", *GRID, "--json", "p.json") == 0
    lines = capsys.readouterr().out.splitlines()
    for part in ("attention", "MLP", "head"):
        for state in ("full", "8 bits", "4 bits"):
            assert sum(part in line and state in line for line in lines) == 1
    found = figures(tmp_path / "p.json")
    (kind,) = found["kinds"]
    assert [low["bits"] for low in kind["low"]] == [4, 8]
    assert [low["bits"] for low in found["low_heads"]] == [4, 8]
    assert all(low["mlp"]["contexts"] == [8, 40] for low in kind["low"])
    assert all(low["attention_bytes"] > 0 and low["mlp_bytes"] > 0 for low in kind["low"])


def test_a_stored_profile_is_used_unless_again_is_given(monkeypatch, tmp_path):
    written = []
    for extra in ((), (), ("--again",)):
        assert specframe(monkeypatch, "profile", *GRID, "--json", "p.json", *extra) == 0
        written.append(figures(tmp_path / "p.json"))
    assert written[0] == written[1]
    assert written[2]["seconds"] != written[0]["seconds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompts", "testbed"), "need a tokenizer"),
        (("--model", "some/hub-id"), "Use random prompts"),
    ],
)
def test_without_a_tokenizer_only_random_prompts_are_possible(
    monkeypatch, capsys, arguments, message
):
    assert specframe(monkeypatch, "predict", "--contexts", "16", *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["profile", "predict"])
def test_a_missing_gpu_is_an_error_before_the_work(monkeypatch, capsys, command):
    replace_load(monkeypatch, None)
    assert specframe(monkeypatch, command, "--device", "cuda") == 2
    assert "finds none here" in capsys.readouterr().err


def test_a_composed_shape_says_what_is_simulated(monkeypatch, capsys, tmp_path):
    from specframe.profilers import composed
    from specframe.types import ModelShape

    small = composed.ComposedShape("llama", ModelShape(5, 32, 40, 4, 2, 8, 48, 256))
    monkeypatch.setattr(composed, "COMPOSED", {"llama-3.1-8B": small})
    name = ("--model", "llama-3.1-8B", "--json", "c.json")
    assert specframe(monkeypatch, "profile", *name, *GRID) == 0
    assert "Simulated. llama-3.1-8B: embedding, head and one of 5 layers" in " ".join(
        capsys.readouterr().out.split()
    )
    found = figures(tmp_path / "c.json")
    assert found["simulated"].startswith("llama-3.1-8B")
    assert [low["bits"] for low in found["all_low_bit"]] == [4, 8]
    (kind,), (four, _) = found["kinds"], found["all_low_bit"]
    layer = kind["low"][0]["attention_bytes"] + kind["low"][0]["mlp_bytes"]
    assert four["bytes"] == 5 * layer + found["low_heads"][0]["head_bytes"]


def test_a_prediction_shows_go_or_no_go_and_hours(monkeypatch, capsys, tmp_path):
    plan = ("--set", "attention=1,2", "--set", "draft=3", "--set", "confidence=0")
    where = ("--prompts", "random", "--contexts", "16", "--count", "3", "--new-tokens", "16")
    assert specframe(monkeypatch, "predict", *where, *plan, "--json", "c.json") == 0
    shown = capsys.readouterr().out
    found = figures(tmp_path / "c.json")
    assert shown.startswith(f"{found['go']}: fixed on testbed is predicted at")
    assert "per million tokens" in shown
    assert found["low"] <= found["speedup"] <= found["high"]
    assert found["tokens"] == 3 * 15
    saved = 1e6 / found["autoregressive_tokens_per_second"] * (1 - 1 / found["speedup"]) / 3600
    assert found["hours_saved_per_million_tokens"] == pytest.approx(saved)
    go = "go" if found["low"] > 1 else "no-go" if found["high"] < 1 else "undecided"
    assert found["go"] == go


def test_a_prediction_shows_the_precision_of_drafts_and_its_memory(monkeypatch, capsys, tmp_path):
    where = ("--prompts", "random", "--contexts", "16", "--count", "2", "--new-tokens", "16")
    low = ("--set", "draft_bits=4", "--json", "c.json")
    assert specframe(monkeypatch, "predict", *where, *low) == 0
    found = figures(tmp_path / "c.json")
    assert found["low_bits"] == 4
    assert 0 < found["low_bit_memory_share"] < 1
    assert "drafts run on weights of 4 bits" in capsys.readouterr().out
    assert specframe(monkeypatch, "predict", *where, "--json", "c.json") == 0
    found = figures(tmp_path / "c.json")
    assert (found["low_bits"], found["low_bit_bytes"]) == (0, 0)
    assert "drafts run on" not in capsys.readouterr().out


@pytest.mark.slow
def test_predictions_are_written_before_the_first_measurement(monkeypatch, capsys, tmp_path):
    from specframe.prediction import check

    seen_first = []
    original = check.check

    def checked(*given):
        seen_first.append(figures(tmp_path / "c.json"))
        return original(*given)

    monkeypatch.setattr(check, "check", checked)
    where = ("--prompts", "random", "--contexts", "8,12,16,20", "--count", "2")
    assert (
        specframe(
            monkeypatch, "predict", "--check", *where, "--new-tokens", "24", "--json", "c.json"
        )
        == 0
    )
    before, after = seen_first[0], figures(tmp_path / "c.json")
    assert len(before["plans"]) == len(after["plans"]) == 12
    for early, late in zip(before["plans"], after["plans"], strict=True):
        assert early["measured"] is None
        assert early["predicted"] == late["predicted"]
        assert late["measured"] > 0
    assert "median_abs_error" not in before
    assert {"median_abs_error", "rank_correlation"} <= set(after)
    assert "rank_correlation" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_check_leaves_the_plans_that_were_finished(monkeypatch, capsys, tmp_path):
    from specframe.prediction import check

    original = check.race
    races = []

    def interrupted(*given):
        races.append(given)
        if len(races) == 2:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(check, "race", interrupted)
    where = ("--prompts", "random", "--contexts", "8,20", "--count", "2", "--new-tokens", "24")
    assert specframe(monkeypatch, "predict", "--check", *where, "--json", "c.json") != 0
    assert "measured" in capsys.readouterr().out
    plans = figures(tmp_path / "c.json")["plans"]
    assert [plan["measured"] is None for plan in plans] == [False] * 6 + [True] * 6
