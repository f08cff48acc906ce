"""The headline strategies on a real model, in addition to the testbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from specframe.bench.compare import compare
from specframe.bench.harness import Progress
from specframe.bench.run_folder import RESULTS_FILE, RunFolder
from specframe.bench.settings import HEADLINE, BenchSettings
from specframe.errors import SpecframeError
from specframe.fetching.kept import fetch
from specframe.fetching.wheel import Tell
from specframe.prompts.everyday import EVERYDAY_DOMAINS
from specframe.prompts.usual import EVERYDAY
from specframe.scheduling.ray_workers import Cluster

__all__ = [
    "ALL_COMPARED",
    "COMPARED",
    "KEY",
    "OWN_PROMPTS",
    "REAL",
    "add_real_model",
    "fetched_or_why",
    "left_out",
]

KEY = "real_model"  # of the results
FOLDER = "real-model"
# takes at most six minutes on two cores: five of the eight domains, with two prompts each
REAL = BenchSettings(
    model="smollm2",
    domains=("summarise", "word_problems", "translation", "code", "sql"),
    per_domain=2,
    repeats=1,
    new_tokens=48,
    calibration_prompts=4,
    calibration_seconds=30.0,
)
# what `specframe compare` runs on any model but the testbed; at most five minutes for smollm2
COMPARED = replace(
    REAL,
    strategies=(*HEADLINE, "swift", "cascade", "prompt-lookup"),
    calibration_seconds=25.0,
)
# with all strategies, at most 20 minutes; several are nearly equally fast, so it has more prompts
ALL_COMPARED = replace(COMPARED, strategies=("all",), per_domain=3)
OWN_PROMPTS: Mapping[str, Any] = {"domains": (), "per_domain": 4, "calibration_prompts": 12}


def left_out(settings: BenchSettings) -> str:
    """What a comparison with these settings leaves out, and the command that includes it."""
    everyday = settings.source == EVERYDAY and settings.domains
    unasked = [name for name in EVERYDAY_DOMAINS if everyday and name not in settings.domains]
    domains = f"the domains {', '.join(unasked)}, " if unasked else ""
    others = "" if "all" in settings.strategies else "other strategies, "
    return (
        f"Left out to keep it short: {domains}{others}more prompts and repeats, and transformers' "
        f"own drafting. For all of it: specframe bench --preset standard --model {settings.model}"
    )


def fetched_or_why(tell: Tell) -> str | None:
    """Download the model if needed; returns None, or one sentence that says why this failed."""
    try:
        fetch(REAL.model, tell)
    except SpecframeError as error:
        return " ".join(str(error).split())
    return None


def add_real_model(
    results: Mapping[str, Any],
    run: Path,
    settings: BenchSettings,
    *,
    tell: Callable[[str], None] = lambda text: None,
    report: Callable[[Progress], None] = lambda progress: None,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Run the real model; returns the results with its own under `real_model`, also written.

    Its rows and calibrations are in a subfolder of the run, where an interrupted run is resumed.
    """
    folder = run / FOLDER
    found = compare(
        settings, folder, resume=folder.exists(), tell=tell, report=report, cluster=cluster
    )
    whole = {**results, KEY: found}
    RunFolder(run).write(RESULTS_FILE, whole)
    return whole
