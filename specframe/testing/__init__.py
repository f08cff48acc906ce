"""For tests of models, executors and strategies, here and elsewhere.

Plain assertions, so that any test runner will do; `*_checks` yield named checks one by one.
"""

from specframe.testing.branches import exact_law, walk_branches
from specframe.testing.executor_checks import check_executor, executor_checks
from specframe.testing.planted import falling_noise, planted_llama, planted_order, planted_skips
from specframe.testing.selector_checks import check_selector, selector_checks

__all__ = [
    "check_executor",
    "check_selector",
    "exact_law",
    "executor_checks",
    "falling_noise",
    "planted_llama",
    "planted_order",
    "planted_skips",
    "selector_checks",
    "walk_branches",
]
