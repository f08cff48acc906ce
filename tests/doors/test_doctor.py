"""`specframe doctor`: what is supported and how, or the typed reason why not."""

import json
from pathlib import Path

import pytest
import torch
from doubles.command_line import specframe

from specframe.doors.doctor import diagnose, report
from specframe.doors.loading import load_model
from specframe.executors.executor import chain_step
from specframe.executors.load import load_executor
from specframe.executors.low_bit_copies import weight_bytes
from specframe.testing.architectures import save_tiny_model
from specframe.types import SkipSet

NAMES = ("llama", "gemma2", "gpt2", "mamba", "bloom")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    return {name: str(save_tiny_model(name, base / name)) for name in NAMES}


def executor_of(folder):
    return load_executor(load_model(folder))


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("name", "executor", "layout", "cache"),
    [
        # keys and values: 2 x 4 layers x kv heads x head size x 4 bytes x 1,000 tokens
        ("llama", "fused", "pre-norm", 2 * 4 * 2 * 8 * 4 * 1000),
        ("gemma2", "module", "sandwich norm, sliding windows of 8", 2 * 4 * 2 * 8 * 4 * 1000),
        ("gpt2", "module", "pre-norm", 2 * 4 * 4 * 8 * 4 * 1000),
    ],
)
def test_a_supported_model_is_described(
    name, executor, layout, cache, folders, tmp_path, monkeypatch, capsys
):
    figures = tmp_path / "doctor.json"
    assert specframe(monkeypatch, "doctor", folders[name], "--json", str(figures)) == 0
    found = json.loads(figures.read_text())
    assert found["supported"] is True
    assert found["refusal"] is None
    assert found["family"] == name
    support = found["support"]
    assert (support["executor"], support["layout"]) == (executor, layout)
    assert support["dtype"] == "float32"
    assert support["cache_bytes_per_1000_tokens"] == cache
    assert support["low_bit"]["refusal"] is None
    assert set(support["low_bit"]["bytes"]) == {"4", "8"}
    assert support["low_bit"]["share"]["4"] < support["low_bit"]["share"]["8"]
    compiled = executor == "fused" and "compiled" in support["low_bit"]["products"]
    assert compiled == executor_of(folders[name]).compiled
    assert (support["why_not_fused"] is None) == (executor == "fused")
    assert support["exact"] == ("near-ties" not in support["exactness"])
    assert found["versions"]["torch"] == torch.__version__
    printed = capsys.readouterr().out
    for line in ("supported:", "executor:", "exactness:", "cache:", "transformers:", "hnswlib:"):
        assert line in printed
    assert support["exactness"] in printed


def test_the_memory_of_low_bit_copies_is_what_a_draft_makes(folders):
    low = diagnose(folders["gemma2"]).support.low_bit
    executor = executor_of(folders["gemma2"])
    made = 0
    for bits in (4, 8):
        every = SkipSet.none(executor.shape.layers).lower(bits)
        executor.walk(chain_step([0], 0, executor.device), executor.new_cache(1), every)
        assert executor.low_bytes - made == low.bytes[str(bits)]
        made = executor.low_bytes
    weights = weight_bytes(load_model(folders["gemma2"]))
    assert low.share["4"] == pytest.approx(low.bytes["4"] / weights)


def test_the_doctor_says_why_a_model_has_no_low_bit_copies(folders, monkeypatch):
    why = "its weights are quantised already"
    monkeypatch.setattr(
        "specframe.executors.fused.executor.FusedExecutor.refuses_low", lambda s: why
    )
    found = report(diagnose(folders["llama"]))
    assert f"low-bit copies: none: {why}" in " ".join(found.split())


@pytest.mark.parametrize(
    ("name", "reason"), [("mamba", "recurrent or hybrid state"), ("bloom", "no known layout")]
)
def test_an_unsupported_model_is_reported_with_its_reason_and_status_two(
    name, reason, folders, tmp_path, monkeypatch, capsys
):
    figures = tmp_path / "doctor.json"
    assert specframe(monkeypatch, "doctor", folders[name], "--json", str(figures)) == 2
    captured = capsys.readouterr()
    assert "UnsupportedModel: " in captured.err
    assert reason in captured.err
    assert reason in captured.out
    assert "transformers:" in captured.out
    found = json.loads(figures.read_text())
    assert found["supported"] is False
    assert found["support"] is None
    assert reason in found["refusal"]


def test_weights_are_not_loaded_if_the_config_is_not_supported(folders, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((Path(folders["mamba"]) / "config.json").read_bytes())
    assert diagnose(str(bare)).refusal is not None


def test_a_missing_model_is_one_line_and_status_two(tmp_path, monkeypatch, capsys):
    assert specframe(monkeypatch, "doctor", str(tmp_path / "nowhere")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("InvalidRequest: No model ")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_a_folder_without_weights_is_refused(tmp_path, folders, monkeypatch, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((Path(folders["llama"]) / "config.json").read_bytes())
    assert specframe(monkeypatch, "doctor", str(bare)) == 2
    assert "can be loaded" in capsys.readouterr().err


def test_the_report_names_every_package_installed_or_not(folders):
    diagnosis = diagnose(folders["gpt2"])
    lines = report(diagnosis).splitlines()
    for package, found in diagnosis.versions.items():
        line = next(line for line in lines if line.startswith(f"{package}:"))
        assert line.endswith(found or "not installed")


def test_the_doctor_gives_advice_if_rows_are_not_bit_identical(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("specframe.executors.fused.executor.native_sublayers", lambda model: None)
    assert "strict=True" in report(diagnose(folders["llama"]))
    half = save_tiny_model("gpt2", tmp_path / "half", torch.bfloat16)
    support = diagnose(str(half)).support
    assert support.exact or "attn_implementation='eager'" in support.advice
