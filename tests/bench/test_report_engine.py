"""The report's table of the engine and of other programs."""

import json

from doubles.made_results import made_results

from specframe.bench.report import figures, page, read_run

ENGINE = {
    "shape": {"name": "smollm2"},
    "tokens_per_second": {"fused": 50.0, "dynamic": 25.0, "static": 40.0},
    "peers": {"bf16": 25.0},
    "limit_tokens_per_second": 100.0,
}


def test_figures_of_the_engine_in_a_runs_folder_are_shown(tmp_path):
    results = made_results(contexts=(0,), per_domain=1, repeats=1)
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    assert all(figure.name != "engine" for figure in figures(read_run(tmp_path)))
    (tmp_path / "engine.json").write_text(json.dumps(ENGINE), encoding="utf-8")
    run = read_run(tmp_path)
    (shown,) = [figure for figure in figures(run) if figure.name == "engine"]
    assert shown.marks == 5  # fused, two of transformers, the peer and the limit
    content = page([run])
    assert "peer, bf16" in content
    assert "1.25×" in content
