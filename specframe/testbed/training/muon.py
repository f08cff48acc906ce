"""The optimiser: Muon for matrices, Adam for the embedding and the norms.

Muon (Jordan et al., 2024): replace a matrix's momentum by the nearest orthogonal matrix, found by
a few Newton-Schulz steps. It learns from fewer tokens than Adam, which matters on two CPU cores.
`torch.optim.Muon` has the same formulas but rounds in another order (bfloat16: updates differ by
a few per cent) and needs torch 2.9, so it would not repeat the recipe of the shipped model.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at zero, so that five steps suffice


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates of one step."""

    matrix: float
    embedding: float
    norm: float


class MixedOptimiser:
    """Keeps one momentum per matrix and two moments for other parameters; its state is a dict."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        self._parameters = dict(parameters)
        self._moments = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._squares = {
            name: torch.zeros_like(p)
            for name, p in self._parameters.items()
            if not _is_matrix(name, p)
        }
        self._steps = 0

    def state(self) -> dict[str, Tensor]:
        """All tensors that are needed to resume exactly."""
        moments = {f"moment.{name}": value for name, value in self._moments.items()}
        squares = {f"square.{name}": value for name, value in self._squares.items()}
        return moments | squares | {"steps": torch.tensor(self._steps)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Resume from a saved state."""
        for name, value in self._moments.items():
            value.copy_(state[f"moment.{name}"])
        for name, value in self._squares.items():
            value.copy_(state[f"square.{name}"])
        self._steps = int(state["steps"])

    @torch.no_grad()
    def step(self, rates: Rates) -> None:
        """Apply the gradients and clear them."""
        self._steps += 1
        shapes: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            if _is_matrix(name, parameter):
                shapes[tuple(parameter.shape)].append(name)
            else:
                self._adam(name, parameter, rates.norm if parameter.ndim == 1 else rates.embedding)
        for names in shapes.values():
            self._muon(names, rates.matrix)
        for parameter in self._parameters.values():
            parameter.grad = None

    def _adam(self, name: str, parameter: nn.Parameter, rate: float) -> None:
        assert parameter.grad is not None
        moment, square = self._moments[name], self._squares[name]
        moment.lerp_(parameter.grad, 0.1)
        square.lerp_(parameter.grad.square(), 0.02)
        first, second = 1 - 0.9**self._steps, 1 - 0.98**self._steps
        parameter.sub_(rate * (moment / first) / ((square / second).sqrt() + 1e-8))

    def _muon(self, names: list[str], rate: float) -> None:
        looks = []
        for name in names:
            grad, moment = self._parameters[name].grad, self._moments[name]
            assert grad is not None
            moment.lerp_(grad, 0.05)
            looks.append(torch.lerp(grad, moment, 0.95))  # Nesterov: look one step ahead
        for name, update in zip(names, orthogonalised(torch.stack(looks)), strict=True):
            parameter = self._parameters[name]
            rows, columns = parameter.shape
            parameter.mul_(1 - rate * 0.05).sub_(rate * max(1.0, rows / columns) ** 0.5 * update)


def orthogonalised(stack: Tensor) -> Tensor:
    """The matrices [N, R, C] with singular values close to one."""
    tall = stack.shape[1] > stack.shape[2]
    x: Tensor = (stack.mT if tall else stack).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT.float() if tall else x.float()


def _is_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and "embed" not in name
