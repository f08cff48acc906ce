"""If the self-check passes, greedy chains equal autoregressive decoding bit for bit."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from unittest.mock import patch

import pytest
import torch
from doubles.tiny import Tiny, tiny_executor, tiny_model
from torch.nn.attention import SDPBackend, sdpa_kernel

from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors import exactness
from specframe.executors.cache import COLUMN_BLOCK, STORAGE_BLOCK
from specframe.executors.exactness import Exactness, check_exactness, known_exactness
from specframe.executors.fused.attention import additive_mask, attend_fused, open_columns
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.kernels import quickest_attention
from specframe.executors.fused.native import sublayers as native
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import ModelShape, SkipSet, StopRule

BF16 = Tiny(
    layers=3, hidden=64, heads=4, kv_heads=2, vocabulary=131, positions=900, dtype=torch.bfloat16
)
FP32 = replace(BF16, dtype=torch.float32)
SKIPS = {
    "no prefix": SkipSet.from_sublayers(3, [0, 3]),
    "half a prefix": SkipSet.from_sublayers(3, [3, 4]),
    "last layer": SkipSet.from_sublayers(3, [4, 5]),
    "nothing": SkipSet.none(3),
}


def greedy(executor, strategy, prompt, new_tokens):
    rounds = Engine(executor, strategy, Law(), Limits(new_tokens)).rounds(prompt)
    return [token for done in rounds for token in done.tokens]


@cache
def own_tokens(tiny, strict, length, new_tokens):
    return greedy(tiny_executor(tiny, strict), Autoregressive(), prompt_of(length), new_tokens)


def prompt_of(length):
    return [(7 * i + i * i // 3) % BF16.vocabulary for i in range(length)]


@cache
def checked(tiny, strict=False):
    return check_exactness(tiny_executor(tiny, strict))


def assert_chains_are_exact(tiny, strict, skip_sets, prompts, new_tokens):
    executor, found = tiny_executor(tiny, strict), checked(tiny, strict)
    if not found.exact:
        promised = executor.compiled or checked(replace(BF16, dtype=tiny.dtype), strict).exact
        assert not promised, f"promised on this machine and not kept: {found.statement}"
        pytest.skip(f"nothing is promised on this machine: {found.statement}")
    for length in prompts:
        for skips in skip_sets:
            strategy = FixedSkips(skips, StopRule(7))
            found = greedy(executor, strategy, prompt_of(length), new_tokens)
            assert found == own_tokens(tiny, strict, length, new_tokens), (length, skips)


@pytest.mark.parametrize("skips", SKIPS)
def test_bf16_chains_are_exact_where_the_self_check_passes(skips):
    assert_chains_are_exact(BF16, False, [SKIPS[skips]], (3, 60), 24)


@pytest.mark.parametrize("skips", ["no prefix", "half a prefix"])
def test_strict_fp32_chains_are_exact_where_the_self_check_passes(skips):
    assert_chains_are_exact(FP32, True, [SKIPS[skips]], (3, 60), 24)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "smollm3", "granite"])
@pytest.mark.parametrize(
    ("dtype", "strict"), [(torch.bfloat16, False), (torch.float32, True)], ids=["bf16", "strict"]
)
def test_long_chains_of_every_family_are_exact(family, dtype, strict):
    tiny = replace(BF16, family=family, dtype=dtype, biases=True)
    assert_chains_are_exact(tiny, strict, SKIPS.values(), (1, 31, 190, 250, 520), 150)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "strict"), [(torch.bfloat16, False), (torch.float32, True)], ids=["bf16", "strict"]
)
def test_wide_products_are_exact(dtype, strict):
    """From an inner size of 1,536 on, a single row may differ in its bits from a row in a block."""
    tiny = replace(BF16, hidden=1792, heads=14, kv_heads=2, dtype=dtype, vocabulary=1024)
    assert_chains_are_exact(tiny, strict, SKIPS.values(), (200,), 80)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_the_chosen_attention_keeps_a_rows_bits_at_the_ends_of_column_blocks(group):
    """With many heads, since a kernel that fails does so in a few of a hundred."""
    heads, head_size, rows = 64, 32, 9
    shape = ModelShape(1, 8, 8, heads * group, heads, head_size, 8, 2048)
    attend = quickest_attention(shape, torch.bfloat16, torch.device("cpu"))
    block = STORAGE_BLOCK if attend is attend_fused else COLUMN_BLOCK
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (
        torch.randn(heads, count, head_size, generator=generator).bfloat16()
        for count in (rows * group, 1024, 1024)
    )

    def run(first, count, context):
        columns = -(-(context + first + count) // block) * block
        positions = torch.arange(context + first, context + first + count)
        allowed = open_columns(positions, context + first, columns, None, None)
        mask = additive_mask(allowed, group, torch.bfloat16)
        part = query[:, first * group : (first + count) * group]
        return attend(part, keys[:, :columns], values[:, :columns], mask, 0.2).unflatten(
            1, (count, group)
        )

    for context in (27, 283, 505, 701):
        together = run(0, rows, context)
        for first in (0, 3, 7):
            pair = run(first, 2, context)
            assert torch.equal(pair, together[:, first : first + 2]), (context, first)


class Drifting:
    """An executor in which other rows change the last bits of a row."""

    def __init__(self, executor, since=2, after=0):
        self._executor, self._since, self._after = executor, since, after

    def __getattr__(self, name):
        return getattr(self._executor, name)

    def walk(self, step, cache, skips=None, **how):
        passed = self._executor.walk(step, cache, skips, **how)
        if self._since <= step.rows <= 32 and step.visible >= self._after:
            bent = passed.hidden.clone()
            bent[..., 0] += 0.05
            passed = replace(passed, hidden=bent)
        return passed


@pytest.mark.parametrize("since", [2, 17, 32])
def test_the_self_check_notices_rows_that_differ_in_blocks(since):
    if not checked(BF16).exact:
        pytest.skip("the executor itself is not exact on this machine")
    found = check_exactness(Drifting(tiny_executor(BF16), since))
    assert not found.exact
    assert f"{since} rows differ in their last bits" in found.statement


@pytest.mark.parametrize("after", [pytest.param(2_000, marks=pytest.mark.slow), 8_000])
def test_the_self_check_covers_long_contexts(after):
    long = replace(BF16, positions=8_200)
    if not checked(long).exact:
        pytest.skip("the executor itself is not exact on this machine")
    found = check_exactness(Drifting(tiny_executor(long), after=after))
    assert not found.exact
    assert f"at context {2_100 if after < 2_100 else 8_160}" in found.statement


def test_a_model_of_few_positions_can_be_checked_too():
    tiny = replace(BF16, positions=20, dtype=torch.float64)
    assert isinstance(check_exactness(tiny_executor(tiny)), Exactness)


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    return tmp_path / "exactness"


def test_the_result_is_stored(cache_folder):
    executor = tiny_executor(BF16)
    found = known_exactness(executor)
    (file,) = cache_folder.iterdir()
    assert json.loads(file.read_text()) == {"exact": found.exact, "statement": found.statement}
    file.write_text(json.dumps({"exact": False, "statement": "as remembered"}))
    assert known_exactness(executor) == Exactness(False, "as remembered")


@pytest.mark.parametrize("content", ['{"exact": true}', "[1]", "{", '{"exact": 1, "why": ""}'])
def test_a_stored_result_of_another_form_is_computed_again(cache_folder, content, monkeypatch):
    found = Exactness(True, "as found")
    monkeypatch.setattr(exactness, "check_exactness", lambda executor: found)
    executor = tiny_executor(BF16)
    assert known_exactness(executor) == found
    (file,) = cache_folder.iterdir()
    file.write_text(content)
    assert known_exactness(executor) == found
    assert json.loads(file.read_text()) == {"exact": True, "statement": "as found"}


def test_without_storage_the_result_is_computed_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "file"))
    assert known_exactness(tiny_executor(BF16)) == checked(BF16)


def test_results_for_other_models_and_threads_are_stored_separately(cache_folder, monkeypatch):
    monkeypatch.setattr(exactness, "check_exactness", lambda executor: Exactness(True, ""))
    known_exactness(tiny_executor(BF16))
    known_exactness(tiny_executor(FP32))
    known_exactness(tiny_executor(FP32, strict=True))
    known_exactness(tiny_executor(replace(BF16, kv_heads=4)))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    known_exactness(tiny_executor(BF16))
    torch.set_num_threads(threads)
    assert len(list(cache_folder.iterdir())) == 5


@contextmanager
def another_precision():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


OTHERS = {
    "version": lambda: patch.object(exactness, "_version", lambda: "0.0.0"),
    "precision": another_precision,
    "instruction set": lambda: patch.dict(os.environ, ONEDNN_MAX_CPU_ISA="SSE41"),
    "attention kernels": lambda: sdpa_kernel(SDPBackend.MATH),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("other", OTHERS)
def test_results_for_other_settings_are_stored_separately(other, cache_folder, monkeypatch):
    monkeypatch.setattr(exactness, "check_exactness", lambda executor: Exactness(True, ""))
    executor = tiny_executor(BF16)
    known_exactness(executor)
    with OTHERS[other]():
        known_exactness(executor)
    assert len(list(cache_folder.iterdir())) == 2
    known_exactness(executor)
    assert len(list(cache_folder.iterdir())) == 2


def test_strict_pads_every_product_of_few_rows_to_one_size(monkeypatch):
    """This makes float32 rows independent of other rows if nothing is compiled."""
    monkeypatch.setattr(native, "compiled", lambda dtype: None)
    seen = set()
    linear = FusedExecutor._linear

    def watched(self, layer, rows):
        seen.add(rows.shape[0])
        return linear(self, layer, rows)

    monkeypatch.setattr(FusedExecutor, "_linear", watched)
    executor = FusedExecutor(tiny_model(FP32), strict=True)
    greedy(executor, FixedSkips(SKIPS["half a prefix"], StopRule(7)), [1, 2, 3], 30)
    assert seen == {16}
