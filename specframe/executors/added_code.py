"""Code that was added to a model's modules: hooks, replaced forward methods, parametrisations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch.nn.modules import module as torch_module

__all__ = ["added_code", "foreign_classes", "foreign_forward"]

LIBRARIES = ("torch.", "transformers.")
# hooks of torch are not among them: they prune, normalise or reparametrise weights
HARMLESS = ("transformers.", "accelerate.")
SHARING = ("transformers.distributed.",)  # its forward methods share a module among processes


def added_code(named: Iterable[tuple[str, Any]]) -> str | None:
    """What was added to the first module that differs from what its class made, or None.

    Global hooks, which every module calls, come first. Code of transformers and accelerate does not
    count: it records outputs or moves tensors between devices.
    """
    if _hooked(vars(torch_module), "_global_forward_pre_hooks", "_global_forward_hooks"):
        return "every module has a global forward hook"
    for name, module in named:
        if what := _added(module):
            return f"{name or 'the model'} has {what}"
    return None


def foreign_forward(named: Iterable[tuple[str, Any]]) -> str | None:
    """The first module whose class is neither torch's nor transformers', or None."""
    first: dict[Any, str] = {}  # each class is looked at once: a model has hundreds of modules
    for name, module in named:
        first.setdefault(type(module), name)
    for kind, name in first.items():
        if not _from(LIBRARIES, kind.forward):
            return f"{name or 'the model'} is a {_named(kind)} with a forward method of its own"
    return None


def foreign_classes(modules: Iterable[Any]) -> list[str]:
    """Names of the modules' classes whose forward is neither torch's nor transformers'."""
    kinds: set[Any] = set(map(type, modules))
    return sorted(_named(kind) for kind in kinds if not _from(LIBRARIES, kind.forward))


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _added(module: Any) -> str | None:
    own = vars(module)
    hooks = own["_forward_pre_hooks"] or own["_forward_hooks"]
    if hooks and _hooked(own, "_forward_pre_hooks", "_forward_hooks"):
        return "a forward hook"
    if "forward" in own and _replaces(module, own["forward"]):
        return "a replaced forward method"
    if "parametrizations" in own["_modules"]:
        return "parametrised weights"
    return None


def _hooked(owner: Mapping[str, Any], *tables: str) -> bool:
    return any(not _from(HARMLESS, hook) for table in tables for hook in owner[table].values())


def _replaces(module: Any, forward: Any) -> bool:
    """Whether the instance's forward is neither a library's nor the class's own, compiled."""
    if _from(HARMLESS, type(getattr(module, "_hf_hook", None))) or _from(SHARING, forward):
        return False
    original = getattr(forward, "_torchdynamo_orig_callable", forward)
    return getattr(original, "__func__", None) is not type(module).forward


def _from(packages: tuple[str, ...], code: Any) -> bool:
    return str(getattr(code, "__module__", "")).startswith(packages)
