"""Studies by name. To add one, write a module in `studies` and add a line to `MODULES`."""

from __future__ import annotations

import difflib
from importlib import import_module

from specframe.errors import InvalidRequest
from specframe.studies.framework.study import Study

__all__ = ["find_study", "study_names"]

# name -> module with the study as `STUDY`
MODULES = {
    "mix-ratio": "specframe.studies.mix_ratio",
    "out-of-domain": "specframe.studies.out_of_domain",
    "anchors": "specframe.studies.anchors",
    "hidden-space": "specframe.studies.hidden_space",
    "domain-overlap": "specframe.studies.domain_overlap",
    "scale": "specframe.studies.scale",
    "pruning": "specframe.studies.pruning",
    "tree": "specframe.studies.tree",
    "tpt-correlation": "specframe.studies.tpt_correlation",
    "retraining": "specframe.studies.retraining",
    "context-length": "specframe.studies.context_length",
    "cross-domain": "specframe.studies.cross_domain",
    "attention-share": "specframe.studies.attention_share",
    "calibration-cost": "specframe.studies.calibration_cost",
    "oracle": "specframe.studies.oracle",
    "precision": "specframe.studies.precision",
}


def study_names() -> list[str]:
    return sorted(MODULES)


def find_study(name: str) -> Study:
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidRequest(f"No study named {name!r}.{hint} Known: {', '.join(study_names())}.")
    found: Study = import_module(MODULES[name]).STUDY
    return found
