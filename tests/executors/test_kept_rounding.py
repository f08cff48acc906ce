"""Codes fitted to a model's inputs are stored and found, and never used for other models."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_model

from specframe.errors import ArtefactError
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.kept_rounding import keep_rounding, kept_rounding, rounding_file
from specframe.executors.modules.executor import ModuleExecutor
from specframe.executors.rounding import round_in_groups, round_to_inputs

pytestmark = pytest.mark.usefixtures("own_cache")


def fitted(weight):
    return round_to_inputs(weight, torch.diag(torch.linspace(1, 9, weight.shape[1])), 4)


def linears(model):
    return [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]


def kept_model(**options):
    model = tiny_model(Tiny(**options))
    keep_rounding(model, [(weight, fitted(weight)) for weight in linears(model)])
    return model


def test_stored_codes_are_found_and_equal():
    model = kept_model()
    rounding = kept_rounding(model)
    for weight in linears(model):
        wanted, found = fitted(weight), rounding(weight, 4)
        assert torch.equal(found.codes, wanted.codes)
        assert torch.equal(found.dense(), wanted.dense())


def test_a_weight_that_has_changed_is_rounded_to_the_nearest():
    model = kept_model()
    rounding = kept_rounding(model)
    weight = linears(model)[0].detach() * 1.5
    assert torch.equal(rounding(weight, 4).codes, round_in_groups(weight, 4).codes)


def test_other_widths_are_rounded_to_the_nearest():
    model = kept_model()
    weight = linears(model)[0]
    assert torch.equal(kept_rounding(model)(weight, 8).codes, round_in_groups(weight, 8).codes)


def test_another_model_s_codes_are_not_used():
    kept_model()
    other = tiny_model(Tiny(seed=5))
    assert kept_rounding(other) is round_in_groups


@pytest.mark.parametrize("executor", [FusedExecutor, ModuleExecutor])
def test_executors_draft_with_kept_codes(executor):
    """Also where matrices of several layers are joined."""
    model = tiny_model(Tiny())
    walker = executor(model)
    before = walker._low.rounding(linears(model)[0], 4)
    weights = [weight.detach().clone() for weight in linears(model)]
    keep_rounding(model, [(weight, fitted(weight)) for weight in weights])
    assert torch.equal(walker._low.rounding(linears(model)[0], 4).codes, before.codes)
    walker.drop_low()
    found = walker._low.rounding(linears(model)[0], 4)
    assert torch.equal(found.codes, fitted(weights[0]).codes)
    assert not torch.equal(found.codes, before.codes)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 40])
def test_an_altered_file_is_refused_by_name(content):
    model = kept_model()
    rounding_file(model).write_bytes(content[:30])
    if content.startswith(b"\x08"):
        assert kept_rounding(model)(linears(model)[0], 4).bits == 4  # a valid file without codes
        return
    with pytest.raises(ArtefactError, match="Delete it"):
        kept_rounding(model)
