"""PuLP 3.3 and 4.x behind four functions, without the deprecation warnings of 3.3."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from specframe.errors import SolverMissing

__all__ = ["binaries", "minimise", "programme", "weighted_sum"]


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def programme() -> Any:
    """An empty minimisation problem."""
    import pulp

    with _quiet():
        return pulp.LpProblem("skip_set", pulp.LpMinimize)


def binaries(problem: Any, count: int) -> list[Any]:
    """Variables that are 0 or 1."""
    import pulp

    with _quiet():
        if hasattr(problem, "add_variable"):
            return [problem.add_variable(f"skip_{i}", 0, 1, cat="Binary") for i in range(count)]
        return [pulp.LpVariable(f"skip_{i}", 0, 1, cat="Binary") for i in range(count)]


def weighted_sum(weights: Sequence[float], variables: Sequence[Any]) -> Any:
    """The linear expression sum of weight x variable."""
    import pulp

    with _quiet():
        return pulp.lpSum(w * v for w, v in zip(weights, variables, strict=True))


def minimise(problem: Any, objective: Any, variables: Sequence[Any]) -> list[bool] | None:
    """Solve to the proven optimum; None where no assignment is allowed."""
    import pulp

    with _quiet():
        problem += objective
        problem.solve(_solver(pulp))
        if pulp.LpStatus[problem.status] != "Optimal":
            return None
        return [round(variable.value()) == 1 for variable in variables]


def _solver(pulp: Any) -> Any:
    """CBC as it comes with PuLP 3, or whichever solver is installed."""
    exact = {"msg": False, "gapRel": 0.0}
    for name in ("PULP_CBC_CMD", "COIN_CMD", "HiGHS"):
        kind = getattr(pulp, name, None)
        if kind is not None and (solver := kind(**exact)).available():
            return solver
    raise SolverMissing(
        "The exact integer program needs a solver and none of CBC and HiGHS was found. "
        "Install one: pip install highspy."
    )
