"""What long prompts, wide trees and changed or uninitialised memory must not change."""

from contextlib import contextmanager

import torch

from doubles.must_hold import Wrong
from doubles.tiny import Tiny, tiny_model
from specframe.core.draft import tree_step
from specframe.executors.filling import fill_cache
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.native import sublayers as native
from specframe.executors.modules.executor import ModuleExecutor
from specframe.types import Draft

EXECUTORS = (FusedExecutor, ModuleExecutor)
LONG = 600  # more than one block of a prompt
WIDE = 40  # more rows than a chain has


def tokens_of(count: int, vocabulary: int = 23) -> list[int]:
    generator = torch.Generator().manual_seed(count)
    drawn: list[int] = torch.randint(vocabulary, (count,), generator=generator).tolist()
    return drawn


def library_logits(model, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0]


def filled(executor, tokens: list[int], room: int = 0):
    """A cache that holds the tokens, and the logits of all of them."""
    cache = executor.new_cache(len(tokens) + room)
    every = slice(None)
    parts = [passed.logits[0] for _, passed in fill_cache(executor, cache, tokens, rows=every)]
    return cache, torch.cat(parts)


def is_the_librarys(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    if not torch.allclose(found, wanted, rtol=0, atol=1e-4):
        raise Wrong(f"{what}: logits are off by {float((found - wanted).abs().max()):.2g}")


def long_prompt(tiny: Tiny) -> None:
    for kind in EXECUTORS:
        model = tiny_model(tiny)
        tokens = tokens_of(LONG)
        wanted = library_logits(model, tokens)
        is_the_librarys(filled(kind(model), tokens)[1], wanted, kind.name)


def prompts_of_several_blocks() -> None:
    long_prompt(Tiny(positions=700))


def windows_shorter_than_a_block() -> None:
    long_prompt(Tiny("mistral", positions=700, window=100))


def wide_tree() -> Draft:
    """Two branches from the root: the second one's columns are no longer its positions."""
    parents = (-1, *range(18), -1, *range(19, WIDE - 2))
    return Draft(tuple(tokens_of(WIDE - 1)), parents, (1.0,) * (WIDE - 1))


def wide_trees(tiny: Tiny) -> None:
    """Each row of a tree against the library's logits after the row's own path."""
    draft, prompt = wide_tree(), tokens_of(50)
    for kind in EXECUTORS:
        model = tiny_model(tiny)
        executor = kind(model)
        cache, _ = filled(executor, prompt[:-1], room=64)
        step = tree_step(draft, prompt[-1], cache)
        found = executor.walk(step, cache).logits[0]
        paths = [[draft.tokens[node] for node in draft.path(row - 1)] for row in range(WIDE)]
        wanted = [library_logits(model, [*prompt, *path])[-1] for path in paths]
        is_the_librarys(found, torch.stack(wanted), kind.name)


def trees_of_many_rows() -> None:
    wide_trees(Tiny())


def trees_of_many_rows_in_a_window() -> None:
    wide_trees(Tiny("mistral", window=6))


@contextmanager
def nothing_compiled():
    found, native.compiled = native.compiled, lambda dtype: None
    try:
        yield
    finally:
        native.compiled = found


def rows_in_company() -> None:
    """A single row in half precision gets other bits alone: no product may have one."""
    for kind, product in ((FusedExecutor, "_linear"), (ModuleExecutor, None)):
        model = tiny_model(Tiny(dtype=torch.bfloat16))
        with nothing_compiled():
            executor = kind(model)
        counts = rows_of_products(executor, model, product)
        if min(counts) < 2:
            raise Wrong(f"{kind.name}: a row was computed alone")


def rows_of_products(executor, model, product: str | None) -> set[int]:
    counts: set[int] = set()
    if product is not None:
        lawful = executor._linear
        executor._linear = lambda layer, rows: (counts.add(rows.shape[0]), lawful(layer, rows))[1]
    else:
        for part in (*model.model.layers, model.lm_head):
            part = getattr(part, "mlp", part)
            part.register_forward_pre_hook(lambda _, given: counts.add(given[0].shape[1]))
    cache, _ = filled(executor, [3, 1, 4], room=8)
    step = tree_step(Draft((), (), ()), 1, cache)
    executor.walk(step, cache)
    return counts


def weights_of_now() -> None:
    """Norms changed in place, and a head that was replaced, after the model was fused."""
    model = tiny_model(Tiny("qwen3"))
    executor = FusedExecutor(model)
    for name, parameter in model.named_parameters():
        if "q_norm" in name or "k_norm" in name:
            parameter.data.mul_(2.0)
    found = filled(executor, [3, 1, 4])[1]
    is_the_librarys(found, library_logits(model, [3, 1, 4]), "changed norms")
    head = torch.nn.Linear(16, 23, bias=False).double()
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(5))
    model.lm_head = head
    found = filled(executor, [3, 1, 4])[1]
    is_the_librarys(found, library_logits(model, [3, 1, 4]), "a replaced head")


@contextmanager
def nan_where_nothing_was_written():
    """torch fills what it does not initialise with NaN."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def memory_that_was_not_written_is_not_read() -> None:
    for kind in EXECUTORS:
        model = tiny_model(Tiny())
        tokens = tokens_of(20)
        with nan_where_nothing_was_written():
            found = filled(kind(model), tokens)[1]
        if not bool(found.isfinite().all()):
            raise Wrong(f"{kind.name}: uninitialised columns were read")
        is_the_librarys(found, library_logits(model, tokens), kind.name)


def committed_tree_paths() -> None:
    """After a path through a tree was committed, the next row sees only that path."""
    draft = Draft((5, 6, 7, 8), (-1, 0, -1, 2), (1.0,) * 4)
    for kind in EXECUTORS:
        model = tiny_model(Tiny())
        executor = kind(model)
        cache, _ = filled(executor, [3, 1], room=64)
        executor.walk(tree_step(draft, 4, cache), cache)
        cache.commit([0, 3, 4])  # the root, 7 and 8
        found = executor.walk(tree_step(Draft((), (), ()), 9, cache), cache).logits[0, 0]
        is_the_librarys(found, library_logits(model, [3, 1, 4, 7, 8, 9])[-1], kind.name)


HOLDS_AT_LENGTH = (
    prompts_of_several_blocks,
    windows_shorter_than_a_block,
    trees_of_many_rows,
    trees_of_many_rows_in_a_window,
    rows_in_company,
    weights_of_now,
    memory_that_was_not_written_is_not_read,
    committed_tree_paths,
)
