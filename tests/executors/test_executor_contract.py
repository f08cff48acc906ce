"""Both executors keep the executor's contract over every architecture."""

import pytest
from doubles.architecture_doubles import executor_of

from specframe.testing.architectures import FUSED, MODULE, STRUCTURE
from specframe.testing.executor_checks import check_executor

# eager attention computes its softmax in float32, whatever the model's dtype
TOLERANCE = 1e-5


FAST = ("gemma2", "gpt2", "phi", "mixtral")  # one of each kind of layer


def slow_but(fast, names):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but(FAST, (*FUSED, *MODULE, *STRUCTURE)))
def test_the_module_executor_keeps_the_contract(name):
    check_executor(executor_of(name), tolerance=TOLERANCE)


@pytest.mark.parametrize("name", slow_but(("granite", "mistral", "qwen3", "smollm3"), FUSED))
def test_the_fused_executor_keeps_the_contract(name):
    check_executor(executor_of(name, "fused"))
