import json
from pathlib import Path

import pytest
from doubles.long_commands import BRIEF
from typer.testing import CliRunner

from specframe.commands.testbed import app
from specframe.errors import InvalidRequest, SpecframeError
from specframe.testbed.model.folder import export, open_folder
from specframe.testbed.training.run import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A barely trained tiny model, exported as the real one is."""
    run = tmp_path_factory.mktemp("testbed")
    train(BRIEF, run, lambda _: None, stop_after_steps=1)
    export(BRIEF, run, run / "model")
    return run / "model"


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_info_shows_the_shape(folder: Path, tmp_path: Path) -> None:
    _run("info", "--model", folder, "--json", tmp_path / "info.json")
    figures = json.loads((tmp_path / "info.json").read_text())
    assert figures["layers"] == BRIEF.core_layers
    assert figures["vocabulary"] == BRIEF.entries
    assert figures["dtype"] == "bfloat16"


def test_sample_prints_prompt_answer_and_reference(folder: Path, tmp_path: Path) -> None:
    printed = _run(
        *("sample", "--domain", "sql", "--count", 2, "--new-tokens", 8, "--model", folder),
        *("--json", tmp_path / "s.json"),
    )
    rows = json.loads((tmp_path / "s.json").read_text())["samples"]
    assert len(rows) == 2
    assert all(row["prompt"] in printed and row["reference"] in printed for row in rows)


def test_an_exported_folder_is_bf16_and_holds_its_chat_template(folder: Path) -> None:
    model, tokenizer = open_folder(folder)
    assert {str(p.dtype) for p in model.parameters()} == {"torch.bfloat16"}
    assert tokenizer.chat_template


def test_an_unknown_domain_is_refused_with_the_known_ones(folder: Path) -> None:
    result = CliRunner().invoke(app, ["sample", "--domain", "poetry", "--model", str(folder)])
    assert isinstance(result.exception, InvalidRequest)
    assert "summary" in str(result.exception)


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    arguments = ["train", "--size", "huge", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SpecframeError)
    assert "tiny" in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_eval_reports_every_key(folder: Path, tmp_path: Path) -> None:
    _run("eval", "--model", folder, "--prompts", 2, "--json", tmp_path / "t.json")
    report = json.loads((tmp_path / "t.json").read_text())
    assert set(report["domains"]) == {"summary", "arithmetic", "translation", "story", "sql"}
    for domain in report["domains"].values():
        assert {"loss", "score", "repeat4"} <= set(domain)
        assert 0 < domain["loss"] < 10
    assert len(report["cross_domain"]) == 5
    assert all(len(row) == 5 for row in report["cross_domain"].values())
    assert 0 < report["acceptance_at_70"] <= report["acceptance_at_half"] <= 1
