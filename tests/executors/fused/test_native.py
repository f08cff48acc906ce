"""The compiled sublayers against torch's operations, and single rows against rows in blocks."""

import platform
from dataclasses import replace
from itertools import product

import pytest
import torch
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor, tiny_model

from specframe.executors.exactness import check_exactness
from specframe.executors.executor import chain_step
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.native import build, sublayers
from specframe.executors.fused.native.packed import pack
from specframe.executors.fused.weights import FusedLinear
from specframe.executors.rounding import round_in_groups
from specframe.types import DraftPlan, SkipSet, Step, StopRule

DTYPES = (torch.bfloat16, torch.float32)
TOLERANCE = {torch.bfloat16: 0.05, torch.float32: 2e-6}  # of the largest logit
CONTEXT = 40
ONES = torch.ones(1, 4, 72, dtype=torch.bfloat16)
TINY = Tiny(layers=3, hidden=72, heads=6, kv_heads=2, vocabulary=131, positions=900, biases=True)

pytestmark = pytest.mark.skipif(
    build.compiled(torch.float32) is None, reason="there is no C compiler that can build this"
)


def without_compiled(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sublayers, "compiled", lambda dtype: None)
        executor = FusedExecutor(model)
    assert executor._native is None
    return executor


def pair_of(tiny):
    """An executor with compiled sublayers and one without, of the same weights."""
    model = tiny_model(tiny)
    executor = FusedExecutor(model)
    assert executor._native is not None
    return executor, without_compiled(model)


def filled(executor, count=CONTEXT):
    cache = executor.new_cache(count + 64)
    tokens = [(7 * i + i * i // 3) % executor.shape.vocabulary for i in range(count)]
    executor.walk(chain_step(tokens, 0, executor.device), cache, rows=None)
    cache.commit(range(count))
    return cache


def assert_close(found, wanted):
    share = (found - wanted).abs().max() / wanted.abs().max()
    assert share <= TOLERANCE[found.dtype]


def chain_of(rows, slot=CONTEXT):
    return chain_step([(5 * i + 3) % 131 for i in range(rows)], slot, torch.device("cpu"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_computes_what_torch_computes(family, dtype):
    window = 7 if family in WINDOWED else None
    compiled, plain = pair_of(replace(TINY, family=family, dtype=dtype, window=window))
    skips = SkipSet.from_sublayers(3, [1, 2])
    for rows in (1, 3, 32):
        for skipped in (None, skips):
            found, wanted = (
                executor.walk(chain_of(rows), filled(executor), skipped)
                for executor in (compiled, plain)
            )
            assert_close(found.logits, wanted.logits)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "tiny",
    [
        replace(TINY, hidden=30, heads=3, kv_heads=1),  # heads of 10: no whole lanes
        replace(TINY, hidden=160, heads=2, kv_heads=2),  # heads of 80
        replace(TINY, hidden=256, heads=1, kv_heads=1),  # heads of 256
    ],
    ids=["10", "80", "256"],
)
def test_heads_of_any_size_compute_what_torch_computes(tiny, dtype):
    compiled, plain = pair_of(replace(tiny, dtype=dtype))
    found, wanted = (e.walk(chain_of(5), filled(e)).logits for e in (compiled, plain))
    assert_close(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_a_tree_see_their_own_path_alone(dtype):
    compiled, plain = pair_of(replace(TINY, dtype=dtype))
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 1]], dtype=torch.bool)
    positions = torch.tensor([0, 1, 1, 2]) + CONTEXT
    step = Step(torch.tensor([[9, 4, 7, 2]]), positions, CONTEXT, CONTEXT, mask)
    found, wanted = (e.walk(step, filled(e)).logits for e in (compiled, plain))
    assert_close(found, wanted)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_are_bit_identical_in_any_block(dtype, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = check_exactness(tiny_executor(replace(TINY, dtype=dtype)))
    finally:
        torch.set_num_threads(before)
    assert found.exact, found.statement


def test_the_number_of_threads_changes_no_bit():
    executor = tiny_executor(replace(TINY, dtype=torch.bfloat16))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        cache = executor.new_cache(CONTEXT)
        found.append(executor.walk(chain_of(9, 0), cache).logits)
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def drafted_by_walks(executor, plan, keep, root, count):
    """Tokens, confidences and kept states of a greedy draft, made walk by walk."""
    cache, rows, walked = filled(executor), list(root), 0
    confidences, states = [], []
    for _ in range(count):
        step = chain_step(rows[walked:], CONTEXT + walked, executor.device)
        passed = executor.walk(step, cache, plan.skips, taps=keep, rows=slice(-1, None))
        scores = passed.logits[0, 0].float()
        walked = len(rows)
        rows.append(int(scores.argmax()))
        confidences.append(float(scores.softmax(-1).max()))
        states.append(passed.taps)
    kept = {depth: torch.cat([state[depth] for state in states], 1) for depth in keep}
    return rows[len(root) :], confidences, kept


DRAFTS = {
    "skipped": SkipSet.from_sublayers(3, [1, 4]),
    "low-bit": SkipSet.none(3).lower(8),
    "mixed": SkipSet.from_sublayers(3, [3]).lower(4, [2, 5], head=True),
}


@pytest.mark.parametrize("skips", DRAFTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_compiled_draft_is_the_draft_of_walks(dtype, skips):
    """With one of three families in turn."""
    number = 2 * list(DRAFTS).index(skips) + DTYPES.index(dtype)
    family, skips = ("llama", "qwen2", "mistral")[number % 3], DRAFTS[skips]
    window = 7 if family in WINDOWED else None
    executor, _ = pair_of(replace(TINY, family=family, dtype=dtype, window=window))
    plan = DraftPlan(skips, StopRule(9, confidence=1e-9))
    for root in ([5], [5, 9, 2]):
        for keep in ((), (skips.prefix,), range(skips.size + 1)):
            chain = executor.chain(filled(executor), plan, keep)
            chain.begin(root)
            tops = [chain.next() for _ in range(9)]
            tokens, confidences, kept = drafted_by_walks(executor, plan, keep, root, 9)
            assert [top.token for top in tops] == tokens
            assert [top.confidence for top in tops] == pytest.approx(confidences, rel=1e-5)
            assert all(top.finite for top in tops)
            states = chain.states(len(root) + 8)
            assert states.keys() == kept.keys()
            assert all(torch.equal(states[depth], kept[depth]) for depth in keep)


def test_a_compiled_draft_flattens_its_confidence():
    executor, _ = pair_of(replace(TINY, dtype=torch.float32))
    drafted = {}
    for temperature in (1.0, 3.0):
        stop = StopRule(9, confidence=1e-9, temperature=temperature)
        plan = DraftPlan(DRAFTS["skipped"], stop)
        chain = executor.chain(filled(executor), plan, ())
        chain.begin([5])
        drafted[temperature] = [chain.next() for _ in range(5)]
    passed = executor.walk(
        chain_step([5], CONTEXT, executor.device), filled(executor), DRAFTS["skipped"]
    )
    assert drafted[1.0][0].confidence == pytest.approx(float(passed.logits[0, 0].softmax(-1).max()))
    flat = (passed.logits[0, 0] / 3.0).softmax(-1)
    assert drafted[3.0][0].confidence == pytest.approx(float(flat.max()))
    assert [top.token for top in drafted[3.0]] == [top.token for top in drafted[1.0]]


def test_a_compiled_draft_reports_logits_that_are_not_finite():
    model = tiny_model(replace(TINY, dtype=torch.float32))
    model.lm_head.weight.data[3, 0] = float("nan")
    executor = FusedExecutor(model)
    chain = executor.chain(filled(executor), DraftPlan(SkipSet.none(3), StopRule(2)), ())
    chain.begin([5])
    assert not chain.next().finite
    assert not executor.decide([5, 6], filled(executor)).finite


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_finite_reaches_the_logits(bad, dtype):
    model = tiny_model(replace(TINY, dtype=dtype))
    model.model.layers[1].self_attn.v_proj.weight.data[0, 0] = bad
    executor = FusedExecutor(model)
    assert not torch.isfinite(executor.walk(chain_of(2, 0), executor.new_cache(8)).logits).all()


@pytest.mark.parametrize("skips", DRAFTS.values(), ids=DRAFTS)
def test_the_stream_at_every_depth_is_that_of_walks_which_end_there(skips):
    executor = tiny_executor(replace(TINY, dtype=torch.bfloat16))
    cache, depths = filled(executor), range(1, 7)
    passed = executor.walk(chain_of(4), cache, skips, start=1, hidden=ONES, taps=depths, rows=None)
    assert list(passed.taps) == list(depths)
    for depth in depths:
        short = executor.walk(
            chain_of(4), cache, skips, start=1, hidden=ONES, stop=depth, rows=None
        )
        assert torch.equal(passed.taps[depth], short.hidden), f"depth {depth}"
    assert torch.equal(passed.taps[6], passed.hidden)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_without_a_slot_compute_what_torch_does_and_change_no_committed_column(dtype):
    compiled, plain = pair_of(replace(TINY, dtype=dtype))
    caches = [filled(executor) for executor in (compiled, plain)]
    before = caches[0].data.clone()
    earlier, itself = torch.ones(3, 3).tril(-1).bool(), torch.eye(3).bool()
    looking = Step(
        torch.tensor([[9, 4, 7]]),
        torch.arange(CONTEXT - 3, CONTEXT),
        None,
        CONTEXT,
        torch.cat([earlier, itself], 1),
    )
    found, wanted = (
        executor.walk(looking, cache).logits
        for executor, cache in zip((compiled, plain), caches, strict=True)
    )
    assert_close(found, wanted)
    assert torch.equal(caches[0].data[..., :CONTEXT, :], before[..., :CONTEXT, :])
    fewer = replace(looking, visible=CONTEXT - 1)  # rows after those would overwrite what is there
    assert_close(compiled.walk(fewer, caches[0]).logits, plain.walk(fewer, caches[1]).logits)
    assert torch.equal(caches[0].data[..., :CONTEXT, :], before[..., :CONTEXT, :])


def test_a_walk_resumes_from_states_of_any_layout():
    executor = tiny_executor(replace(TINY, dtype=torch.float32))
    cache = filled(executor)
    whole = executor.walk(chain_of(4), cache, taps=(2,))
    states = whole.taps[2].transpose(1, 2).contiguous().transpose(1, 2)
    assert not states.is_contiguous()
    resumed = executor.walk(chain_of(4), cache, start=2, hidden=states)
    assert torch.equal(resumed.logits, whole.logits)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_working_compiler_torch_computes(compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    assert build.compiled.__wrapped__(torch.bfloat16) is None
    assert not list(tmp_path.rglob("*.so*"))


COPYING = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
cp "{library}" "$2"
"""


def test_the_compiled_code_is_kept(monkeypatch, tmp_path):
    """The compiler of this test copies the library compiled for other tests."""
    compiler = tmp_path / "compiler"
    compiler.write_text(COPYING.format(library=build.compiled(torch.float32)._name))
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    assert build.compiled.__wrapped__(torch.float32) is not None
    (kept,) = tmp_path.rglob("*.so")
    changed = kept.stat().st_mtime_ns
    assert build.compiled.__wrapped__(torch.float32) is not None
    assert kept.stat().st_mtime_ns == changed


def test_float64_is_left_to_torch():
    assert tiny_executor(replace(TINY, dtype=torch.float64))._native is None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("inputs", [72, 1000, 2600])
def test_rows_of_any_width_and_number_are_bit_identical(inputs, dtype):
    """Products that exceed the first-level cache are computed in another order of loops."""
    assert_rows_are_bit_identical(tiny_executor(replace(TINY, dtype=dtype))._native, inputs, dtype)


def assert_rows_are_bit_identical(native, inputs, dtype, outputs=11):
    draw = torch.Generator().manual_seed(inputs)
    weight, rows = (torch.randn(n, inputs, generator=draw).to(dtype) for n in (outputs, 17))
    linear = FusedLinear(weight, None, (outputs,))
    alone = torch.cat([native.product(linear, row[None]) for row in rows])
    assert_close(alone, (rows.double() @ weight.double().t()).to(dtype))
    for count in range(2, 18):
        assert torch.equal(native.product(linear, rows[:count]), alone[:count])


PROCESSORS = {"without AVX-512": "-mno-avx512f", "without vectors": "-march=x86-64"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are flags for x86-64")
@pytest.mark.parametrize(
    ("processor", "dtype"),
    [
        ("without AVX-512", torch.bfloat16),
        pytest.param("without AVX-512", torch.float32, marks=pytest.mark.slow),
        pytest.param("without vectors", torch.bfloat16, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_other_processors_compute_the_same_with_bit_identical_rows(processor, dtype, monkeypatch):
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, PROCESSORS[processor]))
    monkeypatch.setattr(sublayers, "compiled", build.compiled.__wrapped__)
    compiled, plain = pair_of(replace(TINY, dtype=dtype))
    for inputs in (72, 2600):
        assert_rows_are_bit_identical(compiled._native, inputs, dtype)
    plain._lower = compiled._lower  # the same rounded weights
    every = SkipSet.none(3)
    for skips in (every, every.lower(4, [0, 1], head=True), every.lower(8, [2, 3], head=True)):
        found, wanted = (e.walk(chain_of(5), filled(e), skips) for e in (compiled, plain))
        assert_close(found.logits, wanted.logits)
    assert check_exactness(compiled).exact


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 16), (72, 5), (200, 131), (30, 64)])
def test_low_bit_products_are_those_of_the_rounded_weights(inputs, outputs, bits, dtype):
    draw = torch.Generator().manual_seed(inputs + outputs)
    weight, rows = (torch.randn(n, inputs, generator=draw).to(dtype) for n in (outputs, 9))
    bias = torch.linspace(-1, 1, outputs).to(dtype)
    lowered = pack(FusedLinear(weight, bias, (outputs,)), bits, round_in_groups)
    native = tiny_executor(replace(TINY, dtype=dtype))._native
    wanted = lowered(rows)
    for count in (1, 2, 3, 9):
        assert_close(native.product(lowered, rows[:count].contiguous()), wanted[:count])
    alone = torch.cat([native.product(lowered, row[None].contiguous()) for row in rows])
    assert torch.equal(alone, native.product(lowered, rows))


@pytest.mark.parametrize(
    ("family", "bits", "dtype"),
    [
        (family, (4, 8)[number % 2], dtype)
        for number, (dtype, family) in enumerate(product(DTYPES, (*FAMILIES, "llama")))
    ],
    ids=str,
)
def test_low_bit_sublayers_compute_what_torch_computes(family, bits, dtype):
    window = 7 if family in WINDOWED else None
    compiled, plain = pair_of(replace(TINY, family=family, dtype=dtype, window=window))
    skips = SkipSet.from_sublayers(3, [1]).lower(bits, (0, 3, 5), head=True)
    plain._lower = compiled._lower  # the same rounded weights
    for rows in (1, 3):
        found, wanted = (e.walk(chain_of(rows), filled(e), skips) for e in (compiled, plain))
        assert_close(found.logits, wanted.logits)
