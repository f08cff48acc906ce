"""A calibrated folder with an altered manifest loads, or is refused with a typed error."""

import json
import shutil
from pathlib import Path

import pytest
from doubles.written_lab import context_at, small_shape, vector_of
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.naming import strategy_from
from specframe.errors import SpecframeError

SAVED = Path(__file__).parents[1] / "strategies" / "saved_by_0_1"
KINDS = [
    pytest.param(name, marks=pytest.mark.slow) if name == "oracle" else name  # as static-bo
    for name in sorted(folder.name for folder in SAVED.iterdir())
]
SHAPE = small_shape(3)  # of the model they were saved for
MANIFEST, TENSORS = "manifest.json", "tensors.safetensors"

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**18, 10**400]),
    st.floats(),
    st.sampled_from(
        ["", "tensor0", "tensor9", "evil.payload:X", "NaN", "\x00", "\ud800", "9" * 5000]
    ),
    st.text(max_size=5),
    st.lists(st.integers() | st.floats(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.integers(1, 3000).map(
        lambda depth: json.loads("[" * min(depth, 500) + "]" * min(depth, 500))
    ),
)


def places(value, path=()):
    """Every place in a manifest."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from places(part, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def use(folder):
    """Load, start and plan the first round, as a generation does."""
    context = context_at(SHAPE, prompt_states={6: vector_of((0, 99, 7))[None]})
    strategy_from(str(folder), SHAPE).planner_for(SHAPE).plan(context)


@pytest.fixture(params=KINDS, scope="module")
def folder(request, tmp_path_factory):
    copy = tmp_path_factory.mktemp(request.param) / "saved"
    shutil.copytree(SAVED / request.param, copy)
    use(copy)
    return copy


@pytest.fixture(scope="module")
def manifest(folder):
    return json.loads((folder / MANIFEST).read_text())


@given(data=st.data())
def test_an_altered_manifest_loads_or_is_refused(folder, manifest, data):
    path = data.draw(st.sampled_from(list(places(manifest))))
    changed = replaced(manifest, path, data.draw(ODD))
    (folder / MANIFEST).write_text(json.dumps(changed))
    try:
        use(folder)
    except SpecframeError:
        pass
    finally:
        (folder / MANIFEST).write_text(json.dumps(manifest))
