"""A model's modules and parameters, listed quickly: they are looked at before every generation."""

from __future__ import annotations

from typing import Any

__all__ = ["named_modules", "parameters"]


def named_modules(model: Any) -> list[tuple[str, Any]]:
    """Every module once with its name, parents before children: torch's takes four times as long.

    Modules of one depth follow each other.
    """
    found = [("", model)]
    seen = {id(model)}
    for name, module in found:  # grows as it is read
        start = f"{name}." if name else ""
        for last, child in module._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                found.append((start + last, child))
    return found


def parameters(model: Any) -> list[Any]:
    """Every parameter; those that several modules share come once for each."""
    every = (module._parameters.values() for _, module in named_modules(model))
    return [parameter for some in every for parameter in some if parameter is not None]
