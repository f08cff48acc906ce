"""The knapsack with a limit on the memory of low-bit copies, as an integer program.

A second budget makes the table of the dynamic program too large, so a solver is used, through PuLP.
Each program is about one cell of that table: which set saves at least this weight, runs its first
sublayers in full, keeps the limit, and loses least.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from math import gcd
from typing import Any

from specframe.errors import SolverMissing
from specframe.strategies.shared.searching.knapsack import Knapsack, Solution

__all__ = ["least_loss"]

SOLVERS = ("PULP_CBC_CMD", "COIN_CMD", "HiGHS")  # CBC as it comes with PuLP 3; others if installed


def least_loss(problem: Knapsack, saved: int, memory: int, first: int = 0) -> Solution | None:
    """The optimal solution; None if no set saves enough within the memory."""
    import pulp

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of PuLP 3.3
        model = pulp.LpProblem("skip_set", pulp.LpMinimize)
        free = range(first, problem.size)
        skip = _binaries(pulp, model, "skip", [b for b in free if b not in problem.protected])
        low = _binaries(pulp, model, "low", [b for b in free if b in problem.lowered])
        model += pulp.lpSum(_losses(problem, skip, low))
        model += pulp.lpSum(_weights(problem, skip, low)) >= saved
        for sublayer in skip.keys() & low.keys():
            model += skip[sublayer] + low[sublayer] <= 1
        if low:
            sizes, most = _in_units(problem, list(low), memory)
            model += pulp.lpSum(s * v for s, v in zip(sizes, low.values(), strict=True)) <= most
        model.solve(_solver(pulp))
        if pulp.LpStatus[model.status] != "Optimal":
            return None
        skips = problem.set_of(_chosen(skip), _chosen(low))
    return problem.solution(skips)


def _binaries(pulp: Any, model: Any, name: str, sublayers: Sequence[int]) -> dict[int, Any]:
    """A variable that is 0 or 1 for each; PuLP 4 makes them another way than PuLP 3."""
    if hasattr(model, "add_variable"):
        return {b: model.add_variable(f"{name}_{b}", 0, 1, cat="Binary") for b in sublayers}
    return {b: pulp.LpVariable(f"{name}_{b}", 0, 1, cat="Binary") for b in sublayers}


def _losses(problem: Knapsack, skip: dict[int, Any], low: dict[int, Any]) -> Iterator[Any]:
    yield from (problem.losses[b] * variable for b, variable in skip.items())
    if problem.low is not None:
        yield from (problem.low.losses[b] * variable for b, variable in low.items())


def _weights(problem: Knapsack, skip: dict[int, Any], low: dict[int, Any]) -> Iterator[Any]:
    yield from (problem.weights[b] * variable for b, variable in skip.items())
    if problem.low is not None:
        yield from (problem.low.weights[b] * variable for b, variable in low.items())


def _in_units(problem: Knapsack, low: Sequence[int], memory: int) -> tuple[list[int], int]:
    """Bytes by sublayer and their limit as small whole numbers, which solvers keep exactly."""
    assert problem.low is not None
    sizes = [problem.low.bytes[b] for b in low]
    unit = gcd(*sizes) or 1
    return [size // unit for size in sizes], memory // unit


def _chosen(variables: dict[int, Any]) -> int:
    return sum(1 << b for b, variable in variables.items() if round(variable.value()) == 1)


def _solver(pulp: Any) -> Any:
    exact = {"msg": False, "gapRel": 0.0}
    for name in SOLVERS:
        kind = getattr(pulp, name, None)
        if kind is not None and (solver := kind(**exact)).available():
            return solver
    raise SolverMissing(
        "A limit on the memory of low-bit copies needs a solver of integer programs, and none of "
        "CBC and HiGHS was found. Install one (pip install highspy), or leave memory out."
    )
