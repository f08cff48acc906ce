"""Faults written as edits of production source, of one line each."""

import __future__

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Any

from specframe.core.engine import Engine
from specframe.core.sampling import Law, seeded_choice
from specframe.core.verify import _normalised
from specframe.doors import arguments
from specframe.executors.cache import CursorCache
from specframe.executors.fused import attention, fusible
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.modules.cache import LayerCache
from specframe.executors.modules.executor import ModuleExecutor

ANNOTATIONS = __future__.annotations.compiler_flag


@dataclass(frozen=True)
class Edit:
    """Gives a function the code that it would have if `old`, which is in it once, read `new`."""

    function: Callable[..., Any]
    old: str
    new: str

    def __call__(self, patch) -> None:
        function = inspect.unwrap(self.function)
        source = dedent(inspect.getsource(function))
        assert source.count(self.old) == 1, f"{self.old!r} is not in {function.__name__} once"
        made: dict[str, Any] = {}
        # inside another function, so that `super()` finds the class where it always did
        lines = ["def around(__class__):", indent(source.replace(self.old, self.new), " ")]
        lines += [f" return {function.__name__}"]
        exec(compile("\n".join(lines), "an edit", "exec", ANNOTATIONS), function.__globals__, made)
        edited = inspect.unwrap(made["around"](None))
        patch.setattr(function, "__code__", edited.__code__)


later_prompt_blocks_see_their_future = Edit(
    attention.attend_prompt, "attn_mask=allowed", "attn_mask=None"
)
wide_tree_without_its_mask = Edit(
    attention.open_columns, "if mask is None:", "if mask is None or rows > 32:"
)
narrow_window_forgotten_in_prompts = Edit(
    FusedExecutor._build_mask, "_covers(window, columns)", "True"
)
window_forgotten = Edit(attention.open_columns, "if window is not None:", "if False:")
window_by_column = Edit(
    attention.open_columns, "where[visible : visible + rows] = positions", "pass"
)
rows_alone = Edit(FusedExecutor._padded, "max(rows, PAIR_ROWS)", "rows")
module_rows_alone = Edit(ModuleExecutor._padded, "max(rows, PAIR_ROWS)", "rows")
replaced_head_goes_stale = Edit(fusible.addresses, "parameters(model)", "parameters(model.model)")
norms_of_heads_go_stale = Edit(fusible.copy_norms, "layer.qk_norm.copy_(gains)", "pass")
cache_not_zeroed = Edit(CursorCache.__init__, "torch.zeros(", "torch.empty(")
module_cache_not_zeroed = Edit(LayerCache._zeros, "new_zeros", "new_empty")
module_tree_path_committed_as_a_chain = Edit(
    LayerCache.commit, "part[:, :, self.length : end] = part[:, :, here]", "pass"
)

tokens_to_be_written = Edit(Engine._context, "TokenView(live.tokens)", "live.tokens")
processors_in_the_logits_dtype = Edit(
    Law.scores, "scores = at_least_float32(logits)", "scores = logits"
)
processors_without_history = Edit(Law.scores, "[*history, *suffix]", "[*history]")
draws_in_half_precision = Edit(
    seeded_choice, "probabilities.double()", "probabilities.half().double()"
)
draws_sharpened = Edit(seeded_choice, "probabilities.double()", "(probabilities.double() ** 1.03)")
seed_ignored = Edit(arguments._choice, "if seed is None:", "if True:")
residual_not_normalised = Edit(_normalised, "rest / mass", "rest")

door_drops_temperature = Edit(
    arguments.from_prepared,
    "Law(tuple(processors)",
    'Law(tuple(p for p in processors if "Temperature" not in type(p).__name__)',
)
door_drops_processors = Edit(arguments.from_prepared, "Law(tuple(processors)", "Law(()")
door_drops_criteria = Edit(
    arguments.from_prepared,
    "if not isinstance(c, counted)",
    "if isinstance(c, MaxTimeCriteria)",
)
door_drops_max_time = Edit(
    arguments.from_prepared,
    "(MaxLengthCriteria, EosTokenCriteria)",
    "(MaxLengthCriteria, EosTokenCriteria, MaxTimeCriteria)",
)
door_drops_end_tokens = Edit(arguments.from_prepared, "_ends(config)", "frozenset()")
door_counts_the_prompt_as_new = Edit(
    arguments.from_prepared, "config.max_length - prompt_length", "config.max_length"
)
temperature_dropped = Edit(
    arguments.resolve,
    "Law(tuple(processors)",
    'Law(tuple(p for p in processors if "Temperature" not in type(p).__name__)',
)
criteria_dropped = Edit(
    arguments.resolve, "StoppingCriteriaList(stopping_criteria or [])", "StoppingCriteriaList()"
)
max_time_dropped = Edit(arguments.resolve, "config.max_time is not None", "False")
end_tokens_dropped = Edit(arguments.resolve, "_ends(config)", "frozenset()")
prompt_cut_for_its_processors = Edit(
    arguments.resolve, "torch.tensor([list(prompt)]", "torch.tensor([list(prompt)[-1:]]"
)
several_sequences_accepted = Edit(arguments.refuse_unsupported, '("num_return_sequences", 1),', "")
contrastive_search_accepted = Edit(arguments.refuse_unsupported, '("penalty_alpha", 0.0),', "")
guidance_accepted = Edit(arguments.refuse_unsupported, '("guidance_scale", 1.0),', "")
beams_accepted = Edit(arguments.refuse_unsupported, '("num_beams", 1),', "")
layer_contrast_accepted = Edit(arguments.refuse_unsupported, '("dola_layers", None),', "")
