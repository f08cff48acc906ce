"""A clock that only moves when a test moves it, in place of the one that measurements read."""

from collections.abc import Callable
from typing import Any


class TickingClock:
    """`costs(owner, name, seconds)` makes every call of a function move the clock."""

    def __init__(self, monkeypatch: Any, readers: tuple[str, ...]) -> None:
        self.now = 0.0
        self._monkeypatch = monkeypatch
        for reader in readers:
            monkeypatch.setattr(f"{reader}.perf_counter", lambda: self.now)

    def costs(self, owner: Any, name: str, seconds: float) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            self.now += seconds
            return function(*given, **named)

        self._monkeypatch.setattr(owner, name, timed)
