"""Checks and models for tests of executors and strategies, in this package and in others.

The checks are plain assertions and work with any test runner; `*_checks` yield named checks.
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
