"""Both executors keep the executor's contract over every architecture."""

import pytest
from doubles.architecture_doubles import executor_of

from specframe.testing.architectures import FUSED, MODULE, STRUCTURE
from specframe.testing.executor_checks import check_executor

# eager attention computes its softmax in float32, whatever the model's dtype
TOLERANCE = 1e-5


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in (*FUSED[1:], *STRUCTURE)]


@pytest.mark.parametrize("name", [FUSED[0], *MODULE, *LONG])
def test_the_module_executor_keeps_the_contract(name):
    check_executor(executor_of(name), tolerance=TOLERANCE)


@pytest.mark.parametrize("name", FUSED)
def test_the_fused_executor_keeps_the_contract(name):
    check_executor(executor_of(name, "fused"))
