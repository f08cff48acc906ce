"""The report's table of the engine beside other programs."""

import json

from doubles.made_results import made_results

from specframe.bench.report import figures, read_run, write_page

ENGINE = {
    "shape": {"name": "smollm2"},
    "tokens_per_second": {"fused": 50.0, "dynamic": 25.0, "static": 40.0},
    "peers": {"bf16": 25.0},
    "limit_tokens_per_second": 100.0,
}


def run_in(folder, engine):
    results = made_results(contexts=(0,), per_domain=1, repeats=1)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    if engine is not None:
        (folder / "engine.json").write_text(json.dumps(engine), encoding="utf-8")
    return read_run(folder)


def test_figures_of_the_engine_in_a_runs_folder_are_shown(tmp_path):
    run = run_in(tmp_path, ENGINE)
    (shown,) = [figure for figure in figures(run) if figure.name == "engine"]
    assert shown.marks == 5  # fused, two of transformers, the peer and the limit
    write_page(tmp_path / "report.html", [run])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "peer, bf16" in page
    assert "1.25×" in page


def test_a_report_without_engine_figures_has_no_such_table(tmp_path):
    assert all(figure.name != "engine" for figure in figures(run_in(tmp_path, None)))
