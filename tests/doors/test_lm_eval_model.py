"""The model `specframe` in lm-eval: the same scores as `hf` on a local task."""

import json
import sys

import pytest
import torch
from doubles.command_line import specframe
from doubles.tiny import Tiny, tiny_model

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: {target}
output_type: {kind}
{more}
"""
CHOICES = 'doc_to_choice: ["kk", "lm", "q"]\nmetric_list: [{metric: acc}]'
WORDS = (
    "generation_kwargs: {until: [k], max_gen_toks: 12, do_sample: false}\n"
    "metric_list: [{metric: exact_match}]"
)
QUESTIONS = ("fjuhl", "abc", "dghqqp", "tttts")


def test_without_lm_eval_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.__main__", None)
    assert specframe(monkeypatch, "lm-eval", "--model", "specframe") == 2
    assert "pip install 'specframe[lm-eval]'" in capsys.readouterr().err


@pytest.fixture
def place(tmp_path, monkeypatch, letters):
    """A folder with a model, its tokenizer and two tasks; the network is not used."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: specframe[lm-eval]")
    pytest.importorskip("accelerate")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    tiny_model(Tiny(layers=3, hidden=32, dtype=torch.float32)).save_pretrained(tmp_path / "model")
    letters("a", 23, pad_token="a", eos_token="w").save_pretrained(tmp_path / "model")
    rows = [{"question": text, "gold": 1, "word": "rt"} for text in QUESTIONS]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name, kind, target, more in (
        ("choices", "multiple_choice", "gold", CHOICES),
        ("words", "generate_until", "word", WORDS),
    ):
        text = TASK.format(name=name, data=data, kind=kind, target=target, more=more)
        (tasks / f"{name}.yaml").write_text(text)
    return tmp_path


def evaluated(place, monkeypatch, model, more="", *arguments):
    """Results and samples, as lm-eval writes them."""
    out = place / f"out-{model}{len(more)}"
    given = ("--model", model, "--model_args", f"pretrained={place / 'model'}{more}")
    given += ("--device", "cpu")
    given += ("--tasks", "choices,words", "--include_path", place / "tasks", *arguments)
    given += ("--output_path", out, "--log_samples")
    assert specframe(monkeypatch, "lm-eval", *given) == 0
    (results,) = out.rglob("results_*.json")
    samples = {path.name.split("_")[1]: path.read_text() for path in out.rglob("samples_*.jsonl")}
    return json.loads(results.read_text()), samples


def outputs(samples):
    rows = [json.loads(line) for _, text in sorted(samples.items()) for line in text.splitlines()]
    return [(row["doc_id"], row["resps"]) for row in rows]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", ["1", "3"])
def test_scores_and_outputs_are_those_of_hf(place, monkeypatch, batch):
    expected, own = evaluated(place, monkeypatch, "hf", "", "--batch_size", batch)
    strategy = ",strategy=random-skip:faithful"
    found, drafted = evaluated(place, monkeypatch, "specframe", strategy, "--batch_size", batch)
    assert found["results"] == expected["results"]
    assert outputs(drafted) == outputs(own)
    figures = found["config"]["specframe"]
    assert figures["strategy"] == "random-skip:faithful"
    assert figures["drafted"] > 0
    assert figures["tokens"] > 0
