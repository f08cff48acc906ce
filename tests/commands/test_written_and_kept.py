"""Files that commands write, and progress that they print."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bad_input.files import CALIBRATE
from doubles.bad_places import Letters, refused
from doubles.command_line import specframe as specframe_command
from doubles.tiny import tiny_model
from doubles.unharmed import TINY

import specframe
from specframe.bench.run_folder import RunFolder
from specframe.costs.model import CostModel
from specframe.doors.loading import Loaded
from specframe.errors import ArtefactError, CalibrationMismatch, InvalidRequest
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.store import find_profile, keep_profile
from specframe.rig import Rig
from specframe.storage.whole_folder import held_alone

pytestmark = pytest.mark.usefixtures("own_cache_folder")


@pytest.fixture
def figures(monkeypatch):
    """Write figures to a file, as `--json` does."""
    return lambda path: specframe_command(monkeypatch, "ls", "--json", path)


def test_a_link_stays_a_link_and_its_file_is_replaced(figures, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "far" / "real.json")
    for _ in range(2):  # the file is not there yet, then it is
        assert figures(tmp_path / "link.json") == 0
        assert (tmp_path / "link.json").is_symlink()
        assert json.loads((tmp_path / "far" / "real.json").read_text())["schema_version"] == 1


def test_a_pipe_is_written_to(figures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert figures(tmp_path / "pipe") == 0
    assert json.loads(os.read(reader, 1 << 20))["schema_version"] == 1
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_device_is_written_to_and_not_replaced(figures, monkeypatch):
    assert figures("/dev/null") == 0
    assert Path("/dev/null").is_char_device()


@pytest.fixture
def tiny_rig():
    return Rig.of(tiny_model(TINY), costs=CostModel.even(TINY.layers))


def kept(rig, folder):
    """A calibration of this rig's model, kept in the folder."""
    source = Path(__file__).parents[1] / "strategies" / "saved_by_0_1" / "layerskip"
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["fingerprint"] = manifest["value"]["found"]["facts"] = dict(rig.facts)
    manifest["value"]["found"]["facts"] = list(map(list, rig.facts.items()))
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


def test_a_calibration_for_other_weights_of_the_same_shape_is_refused(tiny_rig, tmp_path):
    folder = kept(tiny_rig, tmp_path / "kept")
    assert tiny_rig.strategy(folder).found is not None
    other = tiny_model(TINY)
    other.lm_head.weight.data[0, 0] += 1.0
    with pytest.raises(CalibrationMismatch, match=r"parameters .*specframe calibrate layerskip"):
        Rig.of(other, costs=tiny_rig.costs).strategy(folder)
    with pytest.raises(CalibrationMismatch, match="parameters "):
        specframe.SelfSpeculator(other, folder)
    assert specframe.SelfSpeculator(tiny_rig.model, folder).strategy.found is not None


def test_a_folder_in_use_is_not_calibrated_into(monkeypatch, capsys, place):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    costs = CostModel.even(TINY.layers)
    profile = SimpleNamespace(costs=costs)
    monkeypatch.setattr("specframe.rig.measured_profile", lambda *_, **__: profile)
    with held_alone(place / "new"):
        arguments = (*CALIBRATE, "--prompts", "some.jsonl", "--new-tokens", "8")
        refused(monkeypatch, capsys, place, arguments, "Another process runs in 'new'")


def test_a_run_that_was_refused_leaves_its_folder_free(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InvalidRequest), run.held({"strategies": "misspelt"}, resume=False):
        raise InvalidRequest("no such domain")
    assert not run.path.exists()
    with run.held({"strategies": "spelt"}, resume=False):
        run.append({"answer": 1})
    with pytest.raises(InvalidRequest), run.held({"strategies": "spelt"}, resume=True):
        raise InvalidRequest("later")
    assert run.rows() == [{"answer": 1}]


def test_a_damaged_row_is_one_typed_error(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{\n")
    with pytest.raises(ArtefactError, match="cannot be read"):
        RunFolder(tmp_path).rows()


def small_profile(costs, seconds, contexts, rows):
    cells = tuple(tuple(1.0 for _ in rows) for _ in contexts)
    base = replace(costs.base, contexts=contexts, rows=rows, seconds=cells)
    return LatencyProfile(replace(costs, base=base, facts={"machine": "m"}), 0.0, 0.0, 3, seconds)


def test_a_profile_of_a_few_contexts_does_not_replace_one_of_many(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    costs = CostModel.even(TINY.layers)
    for seconds, contexts, kept_now in (
        (1.0, (8, 16, 32), 1.0),
        (2.0, (16,), 1.0),
        (3.0, (8, 16, 32, 64), 3.0),
    ):
        keep_profile(small_profile(costs, seconds, contexts, (1, 2)))
        assert find_profile({"machine": "m"}).seconds == kept_now


def test_a_command_uses_the_given_dtype_and_threads(monkeypatch):
    given = {}

    def load(name, **named):
        given.update(named)
        return Loaded(tiny_model(TINY), Letters())

    monkeypatch.setattr("specframe.rig.load", load)
    more = ("--dtype", "float32", "--threads", "1", "--max-new-tokens", "3")
    assert specframe_command(monkeypatch, "generate", "hi", *more) == 0
    assert given == {"dtype": torch.float32}
    assert torch.get_num_threads() == 1


def test_pricing_on_first_use_shows_its_progress(monkeypatch, capsys):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))

    def measured(*_, progress, **__):
        progress(4, 4)
        return SimpleNamespace(costs=CostModel.even(TINY.layers), warnings=())

    monkeypatch.setattr("specframe.rig.measured_profile", measured)
    arguments = ("generate", "hi", "--strategy", "knapspec", "--max-new-tokens", "3")
    assert specframe_command(monkeypatch, *arguments) == 0
    assert "pricing: 4 of 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        ("knapspec", "not drafting in 6 of 6 rounds: best plan predicted"),
        ("fixed --set draft=0", "fixed drafted nothing for this prompt"),
        ("autoregressive", "nothing was drafted; "),
    ],
)
def test_a_generation_without_drafts_says_why(monkeypatch, capsys, strategy, reason):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    costly = replace(CostModel.even(TINY.layers), step_seconds=100.0)
    profile = SimpleNamespace(costs=costly, warnings=())
    monkeypatch.setattr("specframe.rig.measured_profile", lambda *_, **__: profile)
    arguments = ("generate", "hi", "--strategy", *strategy.split(), "--max-new-tokens", "7")
    assert specframe_command(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().err
    assert reason in printed
    assert "of 0 drafted" not in printed
