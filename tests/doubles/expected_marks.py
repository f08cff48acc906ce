"""How many marks each figure must draw, counted from the results themselves."""

from collections.abc import Mapping
from typing import Any


def expected_marks(results: Mapping[str, Any]) -> dict[str, int]:
    """Figure -> entries of the results that feed it; figures without any are left out."""
    summary, rows = results["summary"], results["rows"]
    means = [entry for entry in summary if entry["domain"] == "mean"]
    speeds = ("speedup_vs_own_ar", "speedup_vs_transformers")
    known = [entry for entry in means if entry["speedup_vs_own_ar"] is not None]
    several = len({entry["context"] for entry in known}) > 1
    vectors = results.get("vectors") or []
    studies = results.get("studies") or {}
    study = studies.get("cross-domain", {})
    others = {f"study-{n}": len(s["rows"]) for n, s in studies.items() if n != "cross-domain"}
    found = {
        "speedups": sum(entry[key] is not None for entry in summary for key in speeds),
        "skips": 2 * results["model"]["layers"] * len(_drafted(rows)),
        "contexts": len(known) if several else 0,
        "cross-domain": len(study.get("rows", [])),
        "prediction": sum(row["predicted_seconds"] is not None for row in rows),
        "shares": sum(entry["selection_share"] is not None for entry in means),
        "hidden": sum(vector.get(key) is not None for vector in vectors for key in ("pca", "tsne")),
        "summary": len(summary),
        **others,
    }
    return {name: count for name, count in found.items() if count}


def _drafted(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Contender, domain and setting of generations that drafted with something skipped."""
    keys = ("selector", "preset", "domain", "context", "temperature")
    return {tuple(row[key] for key in keys) for row in rows if row["skips"]}
