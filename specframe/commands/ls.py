"""`specframe ls`: lists the strategies."""

from __future__ import annotations

from typing import Any

import typer

from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.errors import UnknownStrategy

__all__ = ["ls"]


COLUMNS = {
    "training_free": "train\nfree",
    "separable": "attn,\nMLP\napart",
    "adaptive": "adap-\ntive",
    "context_aware": "con-\ntext",
    "domain_aware": "do-\nmain",
    "calibrated": "cali-\nbrate",
    "precision_aware": "low\nbit",
    "search": "search",
}


def ls(json: JsonFile = None) -> None:
    """List the strategies, what they can do, and where they come from.

    Training-free: nothing was trained for it. Attn, MLP apart: they are skipped separately.
    Adaptive: the plan changes while a sequence is generated. Context: it knows that attention costs
    more at longer contexts. Domain: it distinguishes kinds of text. Calibrate: it must be
    calibrated first, by `specframe calibrate`. Low bit: it chooses which sublayers draft on
    low-bit weights.

    Below the table: what each strategy does, and whether the authors' code is lossless under
    sampling. In specframe, all strategies are.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    require_writable(json)
    rows = _rows()
    console = Console()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    for heading in COLUMNS.values():
        table.add_column(heading)
    for name, facts in rows.items():
        table.add_row(name, *(_cell(facts.get(key, "")) for key in COLUMNS))
    console.print(table)
    for name, facts in rows.items():
        typer.echo(f"{name} ({facts['package'] or 'broken'}): {facts['summary']}{_official(facts)}")
    write_figures(json, {"schema_version": 1, "selectors": rows})


def _official(facts: dict[str, Any]) -> str:
    said = facts.get("official")
    return f"; official code lossless under sampling: {said}" if said else ""


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    return str(value)


def _rows() -> dict[str, dict[str, Any]]:
    from specframe.contract.registry import strategy_names

    return {name: _facts(name) for name in strategy_names()}


def _facts(name: str) -> dict[str, Any]:
    from specframe.contract.registry import strategy_class

    try:
        found = strategy_class(name)
    except UnknownStrategy as error:  # a broken plug-in must not hide the others
        return {"class": "", "package": "", "summary": str(error)}
    columns = {key: getattr(found.traits, key) for key in COLUMNS}
    return {
        "class": f"{found.__module__}:{found.__qualname__}",
        "package": found.__module__.partition(".")[0],
        "summary": found.traits.summary,
        "official": found.traits.official,
        **columns,
    }
