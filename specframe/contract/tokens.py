"""The tokens of a sequence as a planner sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import overload

__all__ = ["TokenView"]


class TokenView(Sequence[int]):
    """The current tokens of a growing list: read-only, not copied, of fixed length."""

    __slots__ = ("__length", "__tokens")

    def __init__(self, tokens: list[int]) -> None:
        self.__tokens, self.__length = tokens, len(tokens)

    def __len__(self) -> int:
        return self.__length

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: int | slice) -> int | list[int]:
        """A token, or a new list of some."""
        if not isinstance(index, slice):
            return self.__tokens[range(self.__length)[index]]
        start, stop, step = index.indices(self.__length)
        if step == 1:
            return self.__tokens[start:stop]
        return [self.__tokens[place] for place in range(start, stop, step)]

    def __iter__(self) -> Iterator[int]:
        return islice(self.__tokens, self.__length)

    def __eq__(self, other: object) -> bool:
        """Whether another sequence holds the same tokens."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TokenView({list(self)})"
