"""Frozen values are loaded unchanged, or refused with a remedy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor

from specframe.errors import ArtefactError, CalibrationMismatch
from specframe.storage.artefacts import from_plain, load_artefact, save_artefact, to_plain
from specframe.types import DraftPlan, GainRule, SkipSet, StopRule, TreeRule

FACTS = {"model": "tiny", "dtype": "float32"}


@dataclass(frozen=True, slots=True)
class Anchors:
    names: tuple[str, ...]
    plans: Mapping[int, DraftPlan]
    vectors: Tensor
    pair: tuple[int, float]
    note: str | None = None
    among: frozenset[int] = frozenset()


@pytest.fixture
def anchors():
    plan = DraftPlan(SkipSet.of(3, [1], [2]), StopRule(4, gain=GainRule(0.5)), TreeRule((2, 1)))
    return Anchors(
        ("a", "b"), {3: plan}, torch.arange(6.0).view(2, 3), (1, 2.5), None, frozenset([2])
    )


def load(folder, facts=FACTS, kind="anchors", cls=Anchors):
    return load_artefact(folder, cls, kind=kind, fingerprint=facts, remedy="Calibrate again.")


def test_a_value_comes_back_as_it_was(tmp_path, anchors):
    save_artefact(tmp_path / "deep" / "er", anchors, kind="anchors", fingerprint=FACTS)
    found = load(tmp_path / "deep" / "er")
    assert torch.equal(found.vectors, anchors.vectors)
    assert (found.names, found.plans, found.pair) == (anchors.names, anchors.plans, anchors.pair)
    assert (found.note, found.among) == (None, frozenset([2]))


def test_the_folder_holds_a_manifest_and_safetensors_and_no_pickle(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", "tensors.safetensors"}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["fingerprint"] == FACTS


def test_another_fingerprint_is_refused_with_both_values_and_the_remedy(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    with pytest.raises(CalibrationMismatch, match=r"dtype float32; .* dtype bfloat16. Calibrate"):
        load(tmp_path, FACTS | {"dtype": "bfloat16"})
    assert (
        load(tmp_path, {"model": "tiny"}).names == anchors.names
    )  # only the given facts must match


def edited(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tensors(folder):
    return folder / "tensors.safetensors"


def cut(first, last):
    """Damage that keeps a part of the tensors' bytes."""
    return lambda folder: tensors(folder).write_bytes(tensors(folder).read_bytes()[first:last])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: edited(folder, schema_version=2), "schema version 2"),
        *(
            (lambda folder, value=value: edited(folder, value=value), "does not hold a Anchors")
            for value in ({}, {"names": 3}, [], {"unknown": 1}, "text")
        ),
        (lambda folder: tensors(folder).unlink(), "tensor0"),
        (cut(0, 40), r"does not hold a Anchors.*Calibrate again"),
        (cut(0, -3), r"does not hold a Anchors.*Calibrate again"),
        (cut(0, 0), r"does not hold a Anchors.*Calibrate again"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, anchors, damage, told):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    damage(tmp_path)
    with pytest.raises(ArtefactError, match=told):
        load(tmp_path)


def test_a_bit_that_flipped_in_a_tensor_is_found(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    content = bytearray(tensors(tmp_path).read_bytes())
    content[-1] ^= 1
    tensors(tmp_path).write_bytes(content)
    with pytest.raises(ArtefactError, match="altered or cut"):
        load(tmp_path)


def test_tensors_of_an_earlier_value_are_not_read(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    save_artefact(tmp_path, SkipSet.none(2), kind="set", fingerprint=FACTS)
    assert load(tmp_path, kind="set", cls=SkipSet) == SkipSet.none(2)


def test_another_kind_is_refused(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    with pytest.raises(ArtefactError, match="holds a 'anchors', not a 'profile'"):
        load(tmp_path, kind="profile")


def test_a_missing_or_broken_manifest_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="Calibrate again"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtefactError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ArtefactError, match="not a manifest"):
        load(tmp_path)


def test_tensors_that_cannot_be_written_are_an_error_and_old_content_is_kept(tmp_path, anchors):
    save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)

    def refuse(*_):
        raise SafetensorError("Error while serializing: I/O error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", refuse)
        with pytest.raises(ArtefactError, match=r"cannot be written: .+\. Name a folder"):
            save_artefact(tmp_path, anchors, kind="anchors", fingerprint=FACTS)
    assert load(tmp_path).names == anchors.names
    assert len(list(tmp_path.iterdir())) == 2


def test_a_value_of_an_unknown_type_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="object cannot be saved"):
        save_artefact(tmp_path, object(), kind="anchors", fingerprint=FACTS)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, anchors):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        save_artefact(tmp_path / "file" / "in", anchors, kind="anchors", fingerprint=FACTS)


def test_plain_values_need_no_tensors():
    plan = DraftPlan(SkipSet.of(2, [1]), StopRule(3))
    assert from_plain(DraftPlan, json.loads(json.dumps(to_plain(plan)))) == plan
    with pytest.raises(ValueError, match="not a int"):
        from_plain(SkipSet, {"size": 4, "bits": True})
