"""A full disk: one error, and no partial files."""

import errno
import importlib
import os
import shutil
import sys

import pytest
import torch
from doubles.command_line import specframe
from doubles.full_disk import room_for
from doubles.long_commands import COMMANDS, TINY, half_written, place
from doubles.tiny import tiny_model

from specframe.errors import ArtefactError
from specframe.executors.kept_rounding import keep_rounding
from specframe.executors.rounding import round_to_inputs
from specframe.storage.user_cache import append_line

LARGER = [pytest.param(size, marks=pytest.mark.slow) for size in (500, 2_000, 10_000)]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("size", [20, *LARGER])
def test_a_full_disk_is_one_error_and_leaves_nothing_half_written(
    name, size, priced, capsys, tmp_path
):
    command = COMMANDS[name]
    with place(tmp_path) as patch:
        shutil.copytree(priced, tmp_path / "cache")
        with room_for(size):
            ended = specframe(patch, *command.line)
        printed = capsys.readouterr().err
        assert "Traceback" not in printed
        assert not half_written(tmp_path)
        if ended == 0:  # its files are small
            assert size > 20
            return
        assert ended == 2
        line = printed.splitlines()[-1]
        assert line.startswith("ArtefactError: ")
        assert "cannot be written: " in line
        assert "Free space" in line


def test_rounded_weights_are_not_stored_on_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    model = tiny_model(TINY)
    weight = model.lm_head.weight.detach()
    rounded = round_to_inputs(weight, torch.eye(weight.shape[1]), 4)
    with room_for(100), pytest.raises(ArtefactError, match="Free space"):
        keep_rounding(model, [(weight, rounded)])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_line_that_does_not_fit_leaves_the_lines_before_it(tmp_path):
    path = tmp_path / "lines"
    append_line(path, "a" * 60)
    with room_for(100), pytest.raises(ArtefactError, match="Free space"):
        append_line(path, "b" * 60)
    append_line(path, "c")
    assert path.read_text() == "a" * 60 + "\nc\n"


def test_output_on_a_full_disk_is_one_error(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("specframe.commands.ls.typer.echo", full)
    assert specframe(monkeypatch, "ls") == 2
    assert capsys.readouterr().err == (
        "ArtefactError: The output cannot be written: No space left on device. Free space.\n"
    )


SMALL = ("--contexts", "8,64", "--rows", "1,4,16", "--budget", "0.1")  # as `priced` has


def test_prices_that_do_not_fit_leave_the_stored_ones(priced, capsys, tmp_path):
    with place(tmp_path) as patch:
        shutil.copytree(priced, tmp_path / "cache")
        (kept,) = (tmp_path / "cache" / "profiles").glob("*/manifest.json")
        before = kept.read_text()
        with room_for(900):
            assert specframe(patch, "profile", "--again", *SMALL) == 2
        assert "Free space" in capsys.readouterr().err
        assert kept.read_text() == before
        assert not half_written(tmp_path)


def test_a_module_that_is_imported_meanwhile_can_be_imported_later(monkeypatch, tmp_path):
    (tmp_path / "imported_on_a_full_disk.py").write_text("VALUE = 'long enough' * 2\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.syspath_prepend(tmp_path)
    with room_for(20):
        importlib.import_module("imported_on_a_full_disk")
    assert not list(tmp_path.rglob("*.pyc"))
    assert not sys.dont_write_bytecode
