"""Every architecture walked by the module executor is the library's model, sublayer by sublayer."""

import copy

import pytest
import torch
from doubles.architecture_doubles import (
    chain,
    executor_of,
    fed_cache,
    feed,
    logits_in_blocks,
    model_of,
    own_logits,
    random_tokens,
    silenced,
)
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from specframe.executors.load import load_executor
from specframe.executors.modules.executor import ModuleExecutor
from specframe.testing.architectures import FUSED, MODULE, STRUCTURE, WINDOW, tiny_model
from specframe.types import SkipSet, Step

OTHER_FUSED = [name for name in FUSED if name != "llama"]  # of one structure
EVERY = [
    "llama",
    *MODULE,
    *(pytest.param(name, marks=pytest.mark.slow) for name in (*OTHER_FUSED, *STRUCTURE)),
]
TABLE = [
    "llama",
    *MODULE,
    *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_FUSED),
]
WINDOWED = ("mistral", "qwen2", "gemma2", "gemma3", "phi3", "mixtral", "cohere2", "starcoder2")
PARALLEL = ("gpt_neox", "phi", "cohere", "stablelm_parallel", "cohere2")
CLOSE = {"atol": 1e-5, "rtol": 0.0}
PROMPT = random_tokens(13, seed=1)
AHEAD = random_tokens(5, seed=2)


def near(a, b):
    torch.testing.assert_close(a, b, **CLOSE)


def skip_sets(name, count=2):
    generator = torch.Generator().manual_seed(len(name))
    bits = torch.randint(1, 256, (count,), generator=generator).tolist()
    return [SkipSet(8, value) for value in bits]


@pytest.mark.parametrize("name", EVERY)
def test_a_walk_over_everything_gives_the_models_own_logits(name):
    tokens = random_tokens(45)
    walked = logits_in_blocks(executor_of(name), tokens, (36, 1, 5, 3))
    near(walked, own_logits(model_of(name), tokens))


@pytest.mark.parametrize("name", FUSED)
def test_fused_and_module_executors_agree(name):
    tokens = random_tokens(45)
    fused, module = executor_of(name, "fused"), executor_of(name)
    assert load_executor(model_of(name)).name == "fused"
    for skips in (SkipSet(8), *skip_sets(name)):
        first = logits_in_blocks(fused, tokens, (36, 1, 8), skips)
        near(first, logits_in_blocks(module, tokens, (36, 1, 8), skips))
    assert fused.shape == module.shape


@pytest.mark.parametrize("name", MODULE)
def test_architectures_that_are_not_llama_shaped_get_the_module_executor(name):
    assert load_executor(model_of(name)).name == "module"


@pytest.mark.parametrize("name", TABLE)
def test_each_single_skip_equals_zeroing_that_contribution(name):
    executor, tokens = executor_of(name), random_tokens(20)
    whole = own_logits(model_of(name), tokens)
    for sublayer in range(executor.shape.sublayers):
        skips = SkipSet.from_sublayers(executor.shape.layers, [sublayer])
        with silenced(model_of(name), executor.layout, skips) as model:
            expected = own_logits(model, tokens)
        near(logits_in_blocks(executor, tokens, (14, 6), skips), expected)
        assert not torch.allclose(expected, whole, atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_draft_steps_one_by_one_give_the_logits_of_the_whole_draft(name):
    executor = executor_of(name)
    for skips in skip_sets(name):
        cache = fed_cache(executor, PROMPT)
        slot = cache.length
        block = executor.walk(chain(AHEAD, slot), cache, skips).logits
        steps = [
            executor.walk(chain(AHEAD[:, i : i + 1], slot + i), cache, skips).logits
            for i in range(AHEAD.shape[1])
        ]
        near(torch.cat(steps, dim=1), block)


@pytest.mark.parametrize("name", EVERY)
def test_what_was_drafted_with_skips_leaves_no_trace_in_the_target(name):
    executor = executor_of(name)
    cache = fed_cache(executor, PROMPT)
    untouched = executor.walk(chain(AHEAD, cache.length), cache).logits
    for skips in skip_sets(name):
        executor.walk(chain(random_tokens(5, seed=9), cache.length), cache, skips)
        torch.testing.assert_close(
            executor.walk(chain(AHEAD, cache.length), cache).logits, untouched, atol=0, rtol=0
        )


@pytest.mark.parametrize("name", PARALLEL)
def test_inside_a_parallel_layer_an_odd_depth_means_the_layers_input(name):
    executor = executor_of(name)
    cache = fed_cache(executor, PROMPT)
    taps = executor.walk(chain(AHEAD, 13), cache, taps=range(9), rows=None).taps
    for layer in range(executor.shape.layers):
        assert torch.equal(taps[2 * layer], taps[2 * layer + 1])
        assert not torch.equal(taps[2 * layer], taps[2 * layer + 2])


@pytest.mark.parametrize("name", PARALLEL)
def test_skipping_one_branch_of_a_parallel_layer_leaves_the_other_as_it_was(name):
    executor = executor_of(name)
    cache = fed_cache(executor, PROMPT)
    step, layers = chain(AHEAD, 13), executor.shape.layers

    def after(*skipped):
        skips = SkipSet.from_sublayers(layers, skipped)
        return executor.walk(step, cache, skips, stop=6, rows=None).hidden

    begun = executor.walk(step, cache, stop=4, rows=None).hidden
    attention, mlp = after(5) - begun, after(4) - begun
    assert attention.abs().max() > 1e-3
    assert mlp.abs().max() > 1e-3
    torch.testing.assert_close(after() - begun, attention + mlp, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", EVERY)
def test_a_tree_walks_its_branches_as_sequences_and_commits_the_accepted_one(name):
    executor, model = executor_of(name), model_of(name)
    cache = fed_cache(executor, PROMPT)
    # root r, its children a and b, then c under b: rows r a b c
    r, a, b, c = 7, 8, 9, 10
    open_to = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]
    step = Step(
        torch.tensor([[r, a, b, c]]),
        torch.tensor([13, 14, 14, 15]),
        13,
        13,
        torch.tensor(open_to, dtype=torch.bool),
    )
    walked = executor.walk(step, cache).logits[0]
    main = own_logits(model, torch.cat([PROMPT, torch.tensor([[r, b, c, 11]])], dim=1))[0]
    side = own_logits(model, torch.cat([PROMPT, torch.tensor([[r, a]])], dim=1))[0]
    near(walked[[0, 2, 3]], main[13:16])
    near(walked[1], side[14])
    cache.commit([0, 2, 3])
    assert cache.length == 16
    near(executor.walk(chain(torch.tensor([[11]]), 16), cache).logits[0, 0], main[16])


@pytest.mark.parametrize(
    ("name", "sublayers"),
    [
        ("llama", 2),
        ("gemma2", 4),  # windows in every other layer
        ("gemma3", 4),
        ("qwen2", 6),  # windows from the third layer on
        ("qwen3_moe", 4),  # experts except in the second layer
        ("smollm3", 4),  # no rotary positions in every other layer
    ],
)
def test_the_representative_sublayers_contain_every_kind_of_layer(name, sublayers):
    assert executor_of(name).representative_sublayers == sublayers


@pytest.mark.parametrize("name", WINDOWED)
def test_windows_hold_token_by_token_beyond_their_length(name):
    executor, model = executor_of(name), model_of(name)
    assert WINDOW in {layer.window for layer in executor.layout.layers}
    tokens = random_tokens(2 * WINDOW + 3, seed=4)
    near(
        logits_in_blocks(executor, tokens, (WINDOW - 2, *(1,) * (WINDOW + 5))),
        own_logits(model, tokens),
    )


@pytest.mark.parametrize("name", WINDOWED)
def test_a_tree_across_the_windows_edge_sees_by_position_not_by_column(name):
    executor, model = executor_of(name), model_of(name)
    prompt = random_tokens(WINDOW, seed=5)
    cache = fed_cache(executor, prompt)
    # three leaves under the root: columns 9, 10, 11, all at position 9
    open_to = torch.eye(4, dtype=torch.bool)
    open_to[:, 0] = True
    step = Step(torch.tensor([[3, 4, 5, 6]]), torch.tensor([8, 9, 9, 9]), WINDOW, WINDOW, open_to)
    walked = executor.walk(step, cache).logits[0]
    for row, leaf in ((1, 4), (2, 5), (3, 6)):
        sequence = torch.cat([prompt, torch.tensor([[3, leaf]])], dim=1)
        near(walked[row], own_logits(model, sequence)[0, -1])


@pytest.mark.parametrize("name", EVERY)
def test_walking_leaves_the_model_as_it_was(name):
    model = tiny_model(name)
    before = _portrait(model)
    executor = ModuleExecutor(model)
    cache = executor.new_cache(64)
    feed(executor, cache, PROMPT)
    executor.walk(chain(AHEAD, 13), cache, SkipSet(8, 0b01101001))
    assert _portrait(model) == before


def _portrait(model):
    """Values, names, hooks, config and flags."""
    modules = [
        (name, sorted(vars(module)), module.training, len(module._forward_hooks))
        for name, module in model.named_modules()
    ]
    values = [(name, value.sum().item()) for name, value in model.state_dict().items()]
    buffers = [(name, value.sum().item()) for name, value in model.named_buffers()]
    config = copy.deepcopy(model.config.to_dict())
    return modules, values, buffers, config, model.config._attn_implementation


@pytest.mark.parametrize("name", ["gemma2", "opt", "phi3"])
def test_weights_changed_in_place_are_seen_by_the_next_walk(name):
    model = tiny_model(name)
    executor = ModuleExecutor(model)
    model.to(torch.float32)
    cache = executor.new_cache(64)
    walked = feed(executor, cache, PROMPT).logits
    assert executor.dtype == walked.dtype == torch.float32
    torch.testing.assert_close(walked, own_logits(model, PROMPT), atol=1e-4, rtol=0)


def test_the_text_model_inside_a_multimodal_wrapper_is_walked():
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(
        text_config=model_of("gemma3").config.to_dict(),
        vision_config=vision,
        mm_tokens_per_image=4,
    )
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(config).double().eval()
    executor = load_executor(model)
    assert (executor.name, executor.layout.title) == ("module", "sandwich norm")
    assert not executor.layout.in_table
    tokens = random_tokens(20)
    near(logits_in_blocks(executor, tokens, (12, 1, 7)), own_logits(model, tokens))


@pytest.mark.parametrize("name", ["gemma3", "gpt2", "phi"])
def test_a_single_row_in_half_precision_is_padded_without_a_trace(name):
    model = tiny_model(name, torch.bfloat16)
    executor = ModuleExecutor(model)
    cache = executor.new_cache(14)  # no room for the padding row
    feed(executor, cache, PROMPT)
    one = AHEAD[:, :1]
    inside = executor.walk(chain(one, 13), cache)
    beside = executor.walk(Step(one, torch.arange(13, 14), None, 13), cache)
    assert inside.hidden.shape == beside.hidden.shape == (1, 1, 32)
    expected = own_logits(model, torch.cat([PROMPT, one], dim=1))[:, -1:]
    for passed in (inside, beside):
        torch.testing.assert_close(passed.logits, expected, atol=0.15, rtol=0)
