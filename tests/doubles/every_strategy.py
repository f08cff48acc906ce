"""Every registered strategy in every preset, calibrated briefly where it must be."""

from functools import cache

from specframe.calibration.lab import ModelLab
from specframe.contract.naming import strategy_from
from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.second_model import SecondModel
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.testing.architectures import tiny_model
from specframe.testing.scene import StrategyScene
from specframe.types import Prompt

LAYERS = 4
FIXED = {"attention": "1,2", "mlp": "2", "confidence": "0"}
BRIEF = {"seconds": "0.1"}  # of searching or training
TIMED = BRIEF | {"evaluations": "8", "prompts": "1", "new_tokens": "2"}
ITSELF = {"model": "itself"}  # drafts are those of the model that verifies them
# what makes a strategy act within the few rounds of a test, or calibrate within a second
EAGER = {
    "admg:best": {"review": "1"},
    "admg:faithful": {"threshold": "-1"},
    "cas:best": {"interval": "4", "review": "1"},
    "cas:faithful": {"warm": "4", "floor": "0.01"},
    "clasp:best": {"interval": "4", "review": "1"},
    "clasp:faithful": {"interval": "2"},
    "conflayers:best": {"interval": "4", "review": "1"},
    "conflayers:faithful": {"window": "4", "interval": "2"},
    "draft-model:best": ITSELF,
    "draft-model:faithful": ITSELF,
    "fixed:best": FIXED,
    "knapspec:best": {"interval": "4", "review": "1"},
    "knapspec:faithful": {"interval": "8"},
    "knn-ssd:faithful": TIMED | {"domain_evaluations": "8"},
    "oracle:faithful": TIMED,
    "specbound:best": {"interval": "4", "review": "1"},
    "specbound:faithful": {"confidence": "0.05"},
    "static-bo:faithful": TIMED,
    "swift:best": {"window": "4", "review": "1"},
    "swift:faithful": {"window": "4", "bayes_every": "6"},
}
VARIANTS = tuple(
    f"{name}:{preset}"
    for name in strategy_names()
    for preset in (strategy_class(name).presets or ("best",))
)
CALIBRATED = tuple(v for v in VARIANTS if strategy_class(v.split(":")[0]).traits.calibrated)


@cache
def executor_of(family: str) -> Executor:
    """A tiny model's; `scene` is the one that the contract's checks play on."""
    if family == "scene":
        return StrategyScene(LAYERS).executor
    return load_executor(tiny_model(family).double())


def configured(variant: str, executor: Executor) -> LayerSelector:
    """As text would configure it."""
    name, preset = variant.split(":")
    usual = BRIEF if strategy_class(name).traits.calibrated else {}
    strategy = strategy_from(name, executor.shape, preset, EAGER.get(variant, usual))
    costs = CostModel.even(executor.shape.layers)
    return strategy.with_models(lambda name: SecondModel(executor, costs))


@cache
def ready(variant: str, family: str = "scene") -> LayerSelector:
    """Ready to generate with this model."""
    executor = executor_of(family)
    strategy = configured(variant, executor)
    if not strategy.traits.calibrated:
        return strategy
    lab = ModelLab(executor, CostModel.even(executor.shape.layers), new_tokens=4)
    return strategy.calibrate(lab, prompts(executor.shape.vocabulary))


def prompts(vocabulary: int, each: int = 6) -> list[Prompt]:
    """Of two domains whose tokens differ."""
    return [
        Prompt(tuple((start + step * k) % vocabulary for k in range(6)), domain)
        for domain, step in (("a", 1), ("b", 3))
        for start in range(0, 4 * each, 4)
    ]
