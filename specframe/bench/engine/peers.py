"""Figures of another program that decoded with the same weights on the same machine."""

from __future__ import annotations

from pathlib import Path

from specframe.errors import InvalidRequest
from specframe.storage.user_cache import from_json

__all__ = ["read_peers"]

FORM = '{"NAME": {"ms_per_token": NUMBER}}'


def read_peers(path: Path | None) -> dict[str, float]:
    """Milliseconds per token by name, from a JSON file of the form `FORM`; none without a file."""
    if path is None:
        return {}
    try:
        found = from_json(path.read_text(encoding="utf-8"))
        peers = {str(name): float(figures["ms_per_token"]) for name, figures in found.items()}
    except OSError as error:
        raise InvalidRequest(
            f"{str(path)!r} cannot be read: {error.strerror}. Name a JSON file of the form {FORM}."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest(
            f"{str(path)!r} does not have the form {FORM}: {error!r}. Name a file that has."
        ) from error
    wrong = next((name for name, value in peers.items() if not 0 < value < float("inf")), None)
    if wrong is not None:
        raise InvalidRequest(
            f"{str(path)!r} gives {wrong!r} {peers[wrong]} ms per token. Give a positive number."
        )
    return peers
