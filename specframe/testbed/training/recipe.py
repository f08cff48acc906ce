"""Training recipes: model size, number of tokens and rates, one frozen value per size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specframe.errors import InvalidConfig

if TYPE_CHECKING:
    from transformers import LlamaConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings of a training run; equal recipes give equal weights on one machine."""

    name: str
    seed: int = 20
    entries: int = 3072
    positions: int = 2048
    width: int = 256
    hidden: int = 640
    heads: int = 8
    kv_heads: int = 4
    core_layers: int = 8  # trained first, then spread over the final depth
    core_places: tuple[int, ...] = (0, 1, 2, 3, 8, 13, 18, 23)
    layers: int = 24
    tokens: int = 6_800_000  # total
    grow_at: int = 4_400_000  # from here on with all layers
    pair_tokens: int = 1_780_000  # number of last tokens with a full and a skipped pass per batch
    long_tokens: int = 1_580_000  # number of last tokens with long texts too (2,048 positions)
    decay_tokens: int = 800_000  # number of last tokens in which learning rates fall to zero
    warmup_tokens: int = 100_000
    batch_tokens: int = 576  # one micro-batch, of one domain
    drop_from: int = 600_000  # before this, no sublayer is dropped
    circuit_rests_until: int = 300_000
    phrases_from: int = 2_413_000  # from here on half of the translations are single sentences
    sums_from: int = 5_450_000  # from here on sums without a word problem are included
    hot_until: int = 372_000  # the first of each pair of rates before this, then the second
    matrix_rates: tuple[float, float] = (0.02, 0.006)
    embedding_rates: tuple[float, float] = (0.004, 0.002)
    norm_rates: tuple[float, float] = (0.002, 0.001)
    prompt_weight: float = 0.15  # of a prompt token's loss; an answer token has weight 1
    exit_layers: tuple[int, ...] = (8, 12, 16, 20)
    exit_weight: float = 0.3  # one exit per batch
    compiled: bool = True  # needs a C++ compiler; twice as fast
    tokenizer_documents: int = 3000

    def __post_init__(self) -> None:
        if len(self.core_places) != self.core_layers or max(self.core_places) >= self.layers:
            raise InvalidConfig.of(
                "Recipe",
                "core_places",
                f"{self.core_layers} layers below {self.layers}",
                self.core_places,
            )
        if self.grow_at + self.decay_tokens > self.tokens:
            raise InvalidConfig.of(
                "Recipe", "tokens", "at least grow_at + decay_tokens", self.tokens
            )


FULL = Recipe("full")
TINY = Recipe(
    "tiny",
    entries=1024,
    width=96,
    hidden=256,
    heads=4,
    kv_heads=2,
    core_layers=3,
    core_places=(0, 2, 5),
    layers=6,
    tokens=240_000,
    grow_at=130_000,
    pair_tokens=40_000,
    long_tokens=0,
    decay_tokens=80_000,
    warmup_tokens=20_000,
    drop_from=50_000,
    circuit_rests_until=20_000,
    hot_until=50_000,
    phrases_from=20_000,
    sums_from=160_000,
    exit_layers=(4,),
    compiled=False,
    tokenizer_documents=300,
)
SIZES = {"full": FULL, "tiny": TINY}


def llama_config(recipe: Recipe, layers: int) -> "LlamaConfig":
    """The configuration of a model with this number of layers."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=recipe.entries,
        hidden_size=recipe.width,
        intermediate_size=recipe.hidden,
        num_hidden_layers=layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        head_dim=recipe.width // recipe.heads,
        max_position_embeddings=recipe.positions,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        initializer_range=0.04,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def rate_factor(recipe: Recipe, seen: int) -> float:
    """Share of the full learning rate after `seen` tokens: warm-up, constant, decay to zero."""
    since = seen - recipe.grow_at if seen >= recipe.grow_at else seen
    warm = min(1.0, (since + recipe.batch_tokens) / max(1, recipe.warmup_tokens))
    left = (recipe.tokens - seen) / recipe.decay_tokens
    return max(0.0, min(warm, left, 1.0))
