"""Rigs on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from specframe.errors import WorkersFailed
from specframe.executors.device import DTYPES
from specframe.rig import Rig
from specframe.storage.user_cache import cache_folder
from specframe.storage.whole_folder import one_at_a_time

__all__ = ["RigPlan", "facts_that_count", "require_alike"]

ALIKE = ("parameters", "config", "dtype")  # facts of a model that must be the same on all workers
PRICING = "pricing"


@dataclass(frozen=True, slots=True)
class RigPlan:
    """How a worker loads its rig."""

    model: str
    device: str = "cpu"
    dtype: str = "auto"
    threads: int | None = None

    @classmethod
    def of(cls, rig: Rig, threads: int | None) -> RigPlan:
        """The plan for the same model, on this number of threads."""
        dtype, name = rig.facts["dtype"], rig.name
        if "/" in name and Path(name).exists():
            name = str(Path(name).absolute())  # workers may have another working folder
        return cls(name, rig.device.type, dtype if dtype in DTYPES else "auto", threads)

    def loaded(self) -> Rig:
        """The rig, with its prices; workers on one machine measure them one after another."""
        rig = Rig.load(self.model, device=self.device, dtype=self.dtype, threads=self.threads)
        with one_at_a_time(cache_folder() / PRICING):
            _ = rig.costs
        return rig


def facts_that_count(rig: Rig) -> dict[str, str]:
    """Facts that must be the same on all workers: digest of the weights, and versions."""
    found = {name: rig.facts[name] for name in ALIKE}
    return found | {package: version(package) for package in ("specframe", "torch")}


def require_alike(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse a worker with other weights or another version."""
    for name, value in expected.items():
        if found[name] != value:
            raise WorkersFailed(
                f"A worker was refused: its {name} are {found[name]}, but {value} where the run "
                f"was started. Give all machines the same model files and versions, and run the "
                f"same command again."
            )
