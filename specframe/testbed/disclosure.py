"""The note that accompanies all figures of the testbed."""

from __future__ import annotations

__all__ = ["DISCLOSURE", "EXIT_NOTE", "exit_mark"]

DISCLOSURE = (
    "The testbed was trained to be skippable (with stochastic depth, a loss that makes passes with "
    "skipped sublayers agree with the full pass, and a small early-exit loss), so its figures show "
    "how strategies compare and not how much a model gains that was not trained this way."
)
# strategies that exit early, as the testbed was trained to
HELPED = frozenset({"layerskip", "kangaroo", "del", "specbound", "transformers-early-exit"})
MARK = "†"
EXIT_NOTE = f"{MARK} exits early, which the testbed's early-exit loss helps"


def exit_mark(model: str, contender: str) -> str:
    """The mark after a contender's name if the testbed's training helps it."""
    name = contender.partition(":")[0].partition("+")[0]
    return f" {MARK}" if model == "testbed" and name in HELPED else ""
