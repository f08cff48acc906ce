"""From rows to the table: paired ratios, medians, bootstrap intervals. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from specframe.bench.timing import bootstrap

__all__ = ["BASELINE", "LIBRARY", "MEAN", "summarise", "worker_of"]

BASELINE = "autoregressive"
LIBRARY = "transformers"
MEAN = "mean"  # name of the mean over domains
WIDEST = 0.04  # half-width of an interval around 1 beyond which a speed-up is inconclusive
FEWEST = 2  # prompts that make an interval

Row = Mapping[str, Any]
Setting = tuple[str, str, str, int, float]  # strategy, preset, domain, context, temperature


def worker_of(row: Row) -> str:
    """The worker that answered; empty in rows of earlier versions."""
    return str((row.get("worker") or {}).get("id", ""))


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry per strategy, domain, context and temperature, and one for the mean of domains."""
    seconds = {_beside(row, row["selector"]): row for row in rows}
    alike = len(set(map(_machine, rows))) == 1  # else seconds cannot be pooled
    groups: dict[Setting, list[Row]] = {}
    for row in rows:
        groups.setdefault(_setting(row, row["domain"]), []).append(row)
    entries = [_entry(setting, group, seconds, alike) for setting, group in groups.items()]
    wholes: dict[Setting, list[dict[str, Any]]] = {}
    for entry in entries:
        wholes.setdefault(_setting(entry, MEAN), []).append(entry)
    means = [_mean(setting, parts) for setting, parts in wholes.items()]
    return [*means, *entries]


def _setting(row: Row, domain: str) -> Setting:
    return row["selector"], row["preset"], domain, row["context"], row["temperature"]


def _beside(row: Row, selector: str) -> tuple[Any, ...]:
    """Key of a contender's answer to the same question on the same worker."""
    return selector, row["prompt"], row["temperature"], row["repeat"], worker_of(row)


def _machine(row: Row) -> tuple[Any, ...]:
    """What makes the seconds of two rows comparable."""
    facts = row.get("worker") or {}
    return tuple(sorted((key, str(value)) for key, value in facts.items() if key != "id"))


def _entry(
    setting: Setting, rows: Sequence[Row], every: Mapping[Any, Row], alike: bool
) -> dict[str, Any]:
    entry: dict[str, Any] = dict(
        zip(("selector", "preset", "domain", "context", "temperature"), setting, strict=True)
    )
    entry["prompts"] = len({row["prompt"] for row in rows})
    decoded = {}
    for name, other in (("own_ar", BASELINE), ("transformers", LIBRARY)):
        decoded[name] = _ratios(rows, every, other, _decode_rate)
        whole = _ratios(rows, every, other, _whole_rate)
        entry |= _spread(f"speedup_vs_{name}", decoded[name])
        entry |= _spread(f"end_to_end_vs_{name}", whole)
    entry["inconclusive"] = len(decoded["own_ar"]) < FEWEST or _wide(entry)
    rates = [rate for row in rows if (rate := _decode_rate(row)) is not None]
    entry["tokens_per_second"] = median(rates) if rates and alike else None
    first = median(row["prefill_seconds"] for row in rows)
    entry["first_token_seconds"] = first if alike else None
    entry |= _shares(rows)
    entry["prediction_error"] = _prediction_error(rows, every)
    return entry


def _ratios(
    rows: Sequence[Row], every: Mapping[Any, Row], other: str, rate: Callable[[Row], float | None]
) -> list[float]:
    """Per prompt: the median over repeats of `rate`, divided by that of the other contender.

    Repeats in which either has no such rate do not count.
    """
    by_prompt: dict[str, list[float]] = {}
    for row in rows:
        against = _against(row, every, other)
        if against is None:
            continue
        mine, theirs = rate(row), rate(against)
        if mine is not None and theirs is not None:
            by_prompt.setdefault(row["prompt"], []).append(mine / theirs)
    return [median(ratios) for ratios in by_prompt.values()]


def _against(row: Row, every: Mapping[Any, Row], other: str) -> Row | None:
    """The row to compare with; the baseline with the seconds that were measured with this row."""
    found = every.get(_beside(row, other))
    if found is None or other != BASELINE or row.get("own_ar_decode_seconds") is None:
        return found
    return {
        **found,
        "prefill_seconds": row["own_ar_prefill_seconds"],
        "decode_seconds": row["own_ar_decode_seconds"],
    }


def _decoded(row: Row) -> int:
    """Number of tokens that `decode_seconds` covers."""
    return int(row["new_tokens"] - row["first_tokens"])


def _decode_rate(row: Row) -> float | None:
    """Tokens per second; None if the answer ended with the first block of tokens."""
    decoded = _decoded(row)
    return decoded / max(row["decode_seconds"], 1e-9) if decoded > 0 else None


def _whole_rate(row: Row) -> float:
    return float(row["new_tokens"] / (row["prefill_seconds"] + row["decode_seconds"]))


def _spread(name: str, ratios: Sequence[float]) -> dict[str, float | None]:
    if not ratios:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    found = bootstrap(ratios, median)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _wide(entry: Mapping[str, Any]) -> bool:
    """Whether the interval leaves open if the strategy is faster; True if there is none.

    An interval on one side of 1 is conclusive however wide it is, and so is a narrow one around 1.
    """
    value = entry["speedup_vs_own_ar"]
    if value is None:
        return True
    low, high = entry["speedup_vs_own_ar_low"], entry["speedup_vs_own_ar_high"]
    return bool(low <= 1.0 <= high and (high - low) / 2 > WIDEST * value)


def _shares(rows: Sequence[Row]) -> dict[str, float | None]:
    drafted = sum(row["drafted"] or 0 for row in rows)
    accepted = sum(row["accepted"] or 0 for row in rows)
    rounds = sum(row["rounds"] or 0 for row in rows)
    matches = [row["exact_match"] for row in rows if row["exact_match"] is not None]
    ties = sum(bool((row.get("parting") or {}).get("near_tie")) for row in rows)
    found: dict[str, float | None] = {
        "exact_match": fmean(matches) if matches else None,
        "near_ties": ties / len(matches) if matches else None,
        "acceptance": accepted / drafted if drafted else None,
        "mean_accepted": sum(row["new_tokens"] - 1 for row in rows) / rounds if rounds else None,
        "mean_drafted": drafted / rounds if rounds else None,
        "drafting_rounds": _mean_of(rows, "drafting_share"),
        "tree_rounds": _mean_of(rows, "tree_share"),
        "skipped_attention": _mean_of(rows, "skipped_attention"),
        "skipped_mlp": _mean_of(rows, "skipped_mlp"),
        "low_bits": _most_common(rows, "low_bits"),
        "low_bit_share": _mean_of(rows, "low_bit_share"),
        "low_bit_bytes": max((row.get("low_bit_bytes") or 0 for row in rows), default=0),
        "peak_bytes": max((row["peak_bytes"] or 0 for row in rows), default=0),
    }
    for part in ("selection", "draft", "verify", "other"):
        found[f"{part}_share"] = _share_of_decoding(rows, f"{part}_seconds")
    return found


def _share_of_decoding(rows: Sequence[Row], part: str) -> float | None:
    """Pooled over the rows of each machine; machines are weighted by their number of rows."""
    if any(row[part] is None for row in rows):
        return None
    shares = []
    for machine in dict.fromkeys(map(_machine, rows)):
        own = [row for row in rows if _machine(row) == machine]
        decode = sum(row["decode_seconds"] for row in own)
        if decode > 0:
            shares += [sum(row[part] for row in own) / decode] * len(own)
    return fmean(shares) if shares else None


def _mean_of(rows: Sequence[Row], key: str) -> float | None:
    values = [row[key] for row in rows if row.get(key) is not None]
    return fmean(values) if values else None


def _most_common(rows: Sequence[Mapping[str, Any]], key: str) -> int | None:
    known = [row[key] for row in rows if row.get(key) is not None]
    return Counter(known).most_common(1)[0][0] if known else None


def _prediction_error(rows: Sequence[Row], every: Mapping[Any, Row]) -> float | None:
    """Median |predicted / measured - 1| of the speed-up over autoregressive decoding."""
    errors = []
    for row in rows:
        own = _against(row, every, BASELINE)
        if own is None or row["predicted_seconds"] is None or not own["predicted_seconds"]:
            continue
        rate, own_rate = _decode_rate(row), _decode_rate(own)
        if rate is None or own_rate is None:
            continue
        predicted = own["predicted_seconds"] / _decoded(own)
        predicted /= row["predicted_seconds"] / _decoded(row)
        errors.append(abs(predicted / (rate / own_rate) - 1.0))
    return median(errors) if errors else None


def _mean(setting: Setting, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of the domains; their intervals are combined as those of independent parts."""
    whole: dict[str, Any] = dict(parts[0])
    whole["domain"] = setting[2]
    for key, value in parts[0].items():
        if isinstance(value, bool | str) or key in ("context", "temperature"):
            continue
        known = [part[key] for part in parts if part[key] is not None]
        whole[key] = fmean(known) if known else None
    whole["prompts"] = sum(part["prompts"] for part in parts)
    whole["peak_bytes"] = max(part["peak_bytes"] for part in parts)
    whole["low_bits"] = _most_common(parts, "low_bits")
    whole["low_bit_bytes"] = max(part["low_bit_bytes"] for part in parts)
    for key in [key for key in whole if key.endswith("_low")]:
        _rejoin(whole, key.removesuffix("_low"), parts)
    # the interval of one prompt has no width, so the interval of the mean does not show it
    narrow = any(part["inconclusive"] and not _wide(part) for part in parts)
    whole["inconclusive"] = narrow or _wide(whole)
    return whole


def _rejoin(whole: dict[str, Any], name: str, parts: Iterable[Mapping[str, Any]]) -> None:
    if whole[name] is None:
        return
    known = [part for part in parts if part[name] is not None]
    for side, sign in (("low", -1.0), ("high", 1.0)):
        squares = sum((part[f"{name}_{side}"] - part[name]) ** 2 for part in known)
        whole[f"{name}_{side}"] = whole[name] + sign * squares**0.5 / len(known)
