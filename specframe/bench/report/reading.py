"""Reads results files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specframe.bench.report.comparison import Comparison
from specframe.bench.run_folder import RESULTS_FILE, ROWS_FILE
from specframe.bench.schema import SCHEMA_VERSION
from specframe.errors import ArtefactError, InvalidRequest
from specframe.storage.user_cache import from_json

__all__ = ["read_run"]

STUDIES, STUDY_FILE = "studies", "study.json"
ENGINE_FILE = "engine.json"


def read_run(path: Path) -> Comparison:
    """A run's folder, or its results file, with the studies and the engine.json of the folder."""
    file = path / RESULTS_FILE if path.is_dir() else path
    studies = _studies(file.parent)
    if studies and not file.exists():
        return Comparison({"run": path.name, "rows": [], "summary": [], STUDIES: studies})
    content = _read(file, path)
    _check(file, content)
    kept = {**content, STUDIES: {**(content.get(STUDIES) or {}), **studies}}
    return Comparison(kept | _engine(file.parent))


def _studies(run: Path) -> dict[str, Any]:
    """Finished studies of a run, by name."""
    found = sorted((run / STUDIES).glob(f"*/{STUDY_FILE}"))
    return {file.parent.name: _read(file, file) for file in found}


def _engine(run: Path) -> dict[str, Any]:
    """The figures that `bench engine --json` wrote into the run's folder."""
    file = run / ENGINE_FILE
    return {"engine": _read(file, file)} if file.exists() else {}


def _read(file: Path, path: Path) -> Any:
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidRequest(_not_there(path)) from error
    except OSError as error:
        raise ArtefactError(
            f"{str(file)!r} cannot be read: {error.strerror}. Name a run's folder or its "
            f"{RESULTS_FILE}."
        ) from error
    except ValueError as error:
        raise ArtefactError(
            f"{str(file)!r} is not JSON: {error}. Name a run's folder or its {RESULTS_FILE}."
        ) from error


def _not_there(path: Path) -> str:
    if (path / ROWS_FILE).exists():
        return (
            f"The run in {str(path)!r} is not finished. Run the command that started it "
            f"again, with `--resume {path}`."
        )
    return f"No results at {str(path)!r}. Name the folder of a run, or its {RESULTS_FILE}."


def _check(file: Path, content: Any) -> None:
    if not isinstance(content, Mapping) or "summary" not in content or "rows" not in content:
        raise ArtefactError(
            f"{str(file)!r} holds no comparison: it has no rows and no summary. Name a run's "
            f"folder or its {RESULTS_FILE}."
        )
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{str(file)!r} has schema_version {version!r}; this specframe reads "
            f"{SCHEMA_VERSION}. Run the comparison again, or use the specframe that wrote it."
        )
