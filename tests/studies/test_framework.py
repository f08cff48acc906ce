"""Studies by name: their settings, rows after an interruption, and the files they write."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from bench.test_report import Elements
from doubles import made_study
from doubles.made_results import made_results
from typer.testing import CliRunner

from specframe.bench.report import page, read_run
from specframe.commands.cli import app
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.rig import Rig
from specframe.studies.framework.picture import draw_study
from specframe.studies.framework.registry import MODULES, find_study, study_names
from specframe.studies.framework.running import run_study, settings_of, study_folder
from specframe.studies.framework.study import Lines, Place

STUDY = made_study.STUDY


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setitem(MODULES, "made", "doubles.made_study")
    made_study.made.clear()
    return made_study.made


def invoke(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


class Loading(Exception):
    """A model would be loaded now."""


@pytest.mark.parametrize("name", sorted(set(MODULES)))
def test_a_study_loads_its_model_on_the_given_device(name, tmp_path, monkeypatch):
    def load(kind, model, *, device, dtype, **_):
        raise Loading(model, device, dtype)

    monkeypatch.setattr(Rig, "load", classmethod(load))
    study = find_study(name)
    settings = settings_of(study, quick=True, model="smollm2")
    with pytest.raises(Loading) as caught:
        run_study(study, settings, tmp_path / "run", place=Place("cpu", "float32"))
    assert caught.value.args == ("smollm2", "cpu", "float32")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["device"], config["dtype"]) == ("cpu", "float32")


def test_every_study_has_a_question_of_one_sentence():
    for name in study_names():
        found = find_study(name)
        assert found.name == name
        assert found.question.endswith("?")
        assert found.question.count(".") <= 1
        assert type(found.quick) is type(found.settings)


def test_for_an_unknown_study_the_nearest_name_is_suggested():
    with pytest.raises(InvalidRequest, match="Did you mean 'made'"):
        find_study("maed")


def test_settings_come_from_the_command_line():
    assert settings_of(STUDY) == STUDY.settings
    assert settings_of(STUDY, quick=True) == STUDY.quick
    changed = settings_of(STUDY, model="other", options={"rows": "7"})
    assert changed == replace(STUDY.settings, model="other", rows=7)
    with pytest.raises(InvalidConfig, match="Did you mean 'rows'"):
        settings_of(STUDY, options={"row": "7"})


def test_rows_of_an_interrupted_run_are_not_made_again(tmp_path, made):
    broken = replace(STUDY.settings, breaks_at=2)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, broken, tmp_path)
    kept = (tmp_path / "rows.jsonl").read_bytes()
    assert not (tmp_path / "study.json").exists()
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "val')  # a row that was half written
    whole = replace(STUDY, run=lambda settings, work: STUDY.run(STUDY.settings, work))
    results = run_study(whole, broken, tmp_path)
    assert made == ["0", "1", "2"]
    assert (tmp_path / "rows.jsonl").read_bytes().startswith(kept)
    assert [row["value"] for row in results["rows"]] == [0.0, 2.0, 4.0]
    assert results["total"] == 6.0
    assert (tmp_path / "study.json").read_text("utf-8") == json.dumps(results, indent=1)


def test_other_settings_are_refused_in_the_folder_of_a_study(tmp_path):
    run_study(STUDY, STUDY.settings, tmp_path)
    with pytest.raises(InvalidRequest, match=r"other settings \(rows\)"):
        run_study(STUDY, replace(STUDY.settings, rows=1), tmp_path)


def test_figures_must_not_use_the_names_of_the_results(tmp_path):
    def run(settings, work):
        return replace(STUDY.run(settings, work), figures={"rows": 1})

    with pytest.raises(ValueError, match="rows"):
        run_study(replace(STUDY, run=run), STUDY.settings, tmp_path)


def test_the_command_writes_figures_picture_and_page(tmp_path):
    run, figures, picture = tmp_path / "run", tmp_path / "f.json", tmp_path / "f.svg"
    done = invoke("made", "--quick", "--out", run, "--json", figures, "--plot", picture)
    assert done.exit_code == 0, done.output
    assert "They come to 2.0." in done.output
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found == json.loads((study_folder(run, STUDY) / "study.json").read_text("utf-8"))
    assert found["config"] | {"rows": 2, "model": "testbed"} == found["config"]
    assert "<svg" in picture.read_text(encoding="utf-8")
    content = (run / "report.html").read_text(encoding="utf-8")
    assert Counter(Elements(content).values("data-mark")) == {"study-made": 2}
    assert "They come to 2.0." in content
    assert 'data-figure="speedups"' not in content


@pytest.mark.parametrize(
    "arguments", [(), ("maed",), ("made", "--set", "rows=x"), ("made", "--json", "no/where.json")]
)
def test_wrong_arguments_are_refused_and_nothing_is_written(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(invoke(*arguments).exception, InvalidRequest)
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_every_study(tmp_path):
    figures = tmp_path / "f.json"
    assert invoke("--list", "--json", figures).exit_code == 0
    listed = json.loads(figures.read_text(encoding="utf-8"))["studies"]
    assert set(listed) == set(study_names())
    assert listed["made"] == STUDY.question


@pytest.mark.parametrize(
    "shows",
    [
        made_study.LINES,
        replace(made_study.LINES, log_x=False, steps=False),
        Lines("number", "value", ("even",)),
        None,
    ],
)
def test_the_report_of_a_bench_run_draws_every_row_of_a_study(shows, tmp_path):
    def run(settings, work):
        for number in range(3):
            work.row({"number": number}, lambda n=number: {"even": n % 2, **made_study.make(n)})
        return made_study.Findings({}, "Done.")

    results = made_results((0,), per_domain=1, repeats=1)
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    study = replace(STUDY, run=run, shows=shows)
    found = run_study(study, study.settings, study_folder(tmp_path, study))
    elements = Elements(page([read_run(tmp_path)]))
    assert len(elements.marks("study-made")) == 3
    assert elements.marks("summary")
    if shows is None:
        with pytest.raises(InvalidRequest, match="has no picture"):
            draw_study(found, tmp_path / "x.png")
    else:
        draw_study(found, tmp_path / "x.png")
        assert (tmp_path / "x.png").stat().st_size > 1_000
