"""The results of `gpu_check.py`."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any


class Report:
    """Results by key, written to the file after each measurement."""

    def __init__(
        self, path: Path, minutes: float, known: Path | None = None, only: Sequence[str] = ()
    ) -> None:
        self._path, self._end = path, perf_counter() + 60 * minutes
        self._only = tuple(only)
        self.found: dict[str, Any] = {}
        if known is not None:
            self.found = json.loads(known.read_text(encoding="utf-8"))

    def left(self) -> float:
        """Seconds left."""
        return self._end - perf_counter()

    def take(self, keys: str, seconds: float, measure: Callable[[], Any]) -> Any:
        """Measure if `seconds` are left; `keys` is a path such as `8B|memory`, or `8B|*`."""
        begun = perf_counter()
        if self._only and not keys.partition("|")[2].startswith(self._only):
            return self._known(keys)
        if self.left() < seconds:
            self._put(keys, {"skipped": f"{self.left():.0f} s left, {seconds:.0f} s needed"})
            return None
        found = None
        try:
            found = measure()
            self._put(keys, found)
        except Exception:  # noqa: BLE001 - one failure must not lose the others
            self._put(keys, {"error": traceback.format_exc(limit=-6)})
            print(traceback.format_exc(limit=-3), flush=True)
        text = json.dumps(found)
        print(f"[{perf_counter() - begun:6.1f} s] {keys}: {text[:400]}", flush=True)
        return found

    def _known(self, keys: str) -> Any:
        here: Any = self.found
        for key in keys.split("|"):
            here = here.get(key, {})
        return here or None

    def _put(self, keys: str, value: Any) -> None:
        *folders, last = keys.split("|")
        here = self.found
        for folder in folders:
            here = here.setdefault(folder, {})
        if last == "*" and "error" not in value and "skipped" not in value:
            here.update(value)
        else:
            here[last] = value
        self._path.write_text(json.dumps(self.found, indent=1), encoding="utf-8")
