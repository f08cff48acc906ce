"""Exported folders, loaded and run by transformers."""

import json
import sys

import pytest
import torch
from doubles.command_line import specframe
from doubles.tiny import Tiny, tiny_model
from transformers import AutoModelForCausalLM, dynamic_module_utils

from specframe import Rig
from specframe.contract.published import PublishedFiles
from specframe.doors import exported
from specframe.doors.exported import export
from specframe.errors import CalibrationMismatch, InvalidRequest, UnknownStrategy
from specframe.strategies import StaticBO

PROMPT = torch.tensor([[5, 9, 20, 7, 11]])
TINY = Tiny(layers=3, hidden=32, dtype=torch.float32)


@pytest.fixture(scope="module", autouse=True)
def own_modules(tmp_path_factory):
    """A folder for the copies of code that transformers makes."""
    place = str(tmp_path_factory.mktemp("modules"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", place)
        patch.setattr(sys, "path", [place, *sys.path])
        patch.delitem(sys.modules, "transformers_modules", raising=False)
        yield
        sys.modules.pop("transformers_modules", None)


@pytest.fixture(scope="module")
def model():
    return tiny_model(TINY)


@pytest.fixture
def calibrated(model, tmp_path):
    """A folder with one skip set, for this model."""
    rig = Rig.of(model)
    (tmp_path / "sets.json").write_text(json.dumps({"m": {"attention": [1], "mlp": [1]}}))
    files = PublishedFiles(tmp_path / "sets.json")
    StaticBO.imported(files, rig.shape, rig.facts).save(tmp_path / "calibrated")
    return tmp_path / "calibrated"


class Streamed:
    """A streamer that keeps its tokens."""

    def __init__(self):
        self.tokens, self.ended = [], False

    def put(self, tokens):
        self.tokens += tokens.reshape(-1).tolist()

    def end(self):
        self.ended = True


def generated(model, folder=None, **kwargs):
    settings = {"max_new_tokens": 12, "do_sample": False, **kwargs}
    if folder is not None:
        settings |= {"custom_generate": str(folder), "trust_remote_code": True}
    return model.generate(PROMPT, **settings)


@pytest.fixture
def drafted(monkeypatch):
    """Counts of drafted tokens, one for each generation."""
    counts = []
    own = exported.custom_generate

    def counting(strategy, **kwargs):
        method = own(strategy, **kwargs)

        def decode(*args, generation_config, **inner):
            generation_config.return_dict_in_generate = True
            output = method(*args, generation_config=generation_config, **inner)
            counts.append(output.stats.drafted)
            return output.sequences

        return decode

    monkeypatch.setattr(exported, "custom_generate", counting)
    return counts


def test_transformers_loads_a_calibrated_folder_and_generates_the_same_tokens(
    model, calibrated, tmp_path, drafted
):
    assert export(tmp_path / "door", str(calibrated)) == "calibrated"
    assert torch.equal(generated(model, tmp_path / "door"), generated(model))
    assert drafted[0] > 0


def test_an_exported_folder_does_not_need_the_calibrated_folder(model, calibrated, tmp_path):
    export(tmp_path / "door", str(calibrated))
    (tmp_path / "door").rename(tmp_path / "elsewhere")
    (calibrated / "manifest.json").unlink()
    assert torch.equal(generated(model, tmp_path / "elsewhere"), generated(model))


def test_a_calibration_for_other_weights_is_refused(calibrated, tmp_path):
    export(tmp_path / "door", str(calibrated))
    other = tiny_model(Tiny(layers=3, hidden=32, dtype=torch.float32, seed=1))
    with pytest.raises(CalibrationMismatch, match="parameters"):
        generated(other, tmp_path / "door")


def test_a_name_is_exported_with_its_settings(model, tmp_path, drafted):
    export(tmp_path / "door", "random-skip:faithful+draft_stop=length:3")
    text = (tmp_path / "door" / "custom_generate" / "strategy.py").read_text()
    assert "ENTRY = 'random-skip:faithful+draft_stop=length:3'" in text
    assert torch.equal(generated(model, tmp_path / "door"), generated(model))
    assert drafted[0] > 0


def test_arguments_of_generate_are_honoured(model, calibrated, tmp_path):
    export(tmp_path / "door", str(calibrated))
    settings = {"repetition_penalty": 1.5, "bad_words_ids": [[3]]}
    expected = generated(model, **settings)
    assert not torch.equal(expected, generated(model))
    assert torch.equal(generated(model, tmp_path / "door", **settings), expected)

    streamed = Streamed()
    answer = generated(model, tmp_path / "door", streamer=streamed)
    assert streamed.tokens == answer[0].tolist()
    assert streamed.ended


def test_in_a_models_folder_the_models_own_generate_uses_the_strategy(
    model, calibrated, tmp_path, drafted
):
    model.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", str(calibrated))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", trust_remote_code=True)
    assert torch.equal(generated(loaded), generated(model))
    assert drafted[0] > 0


def test_what_cannot_be_exported_is_refused(calibrated, tmp_path, monkeypatch):
    with pytest.raises(UnknownStrategy):
        export(tmp_path / "door", "knapspek")
    foreign = tmp_path / "other" / "custom_generate" / "generate.py"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("def generate(model): ...")
    with pytest.raises(InvalidRequest, match="specframe did not write"):
        export(tmp_path / "other", str(calibrated))
    monkeypatch.setattr(exported, "MOST_BYTES", 10)
    with pytest.raises(InvalidRequest, match="Share the folder itself"):
        export(tmp_path / "door", str(calibrated))
    assert not (tmp_path / "door").exists()


def test_the_command_prints_how_to_use_the_folder(monkeypatch, capsys, calibrated, tmp_path):
    assert specframe(monkeypatch, "export", tmp_path / "door", "--strategy", calibrated) == 0
    assert f'custom_generate="{tmp_path / "door"}", trust_remote_code=True' in (
        capsys.readouterr().out
    )
