"""`specframe ls`: the selectors that can be asked for by name."""

from __future__ import annotations

import inspect

import typer

from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.errors import UnknownSelector

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ls")(list_selectors)


def list_selectors(json: JsonFile = None) -> None:
    """List the selectors, where they come from and what they do."""
    from rich.console import Console
    from rich.table import Table

    require_writable(json)
    rows = _rows()
    table = Table("name", "from", "what it does")
    for name, facts in rows.items():
        table.add_row(name, facts["package"], facts["summary"])
    Console().print(table)
    write_figures(json, {"schema_version": 1, "selectors": rows})


def _rows() -> dict[str, dict[str, str]]:
    from specframe.registry import selector_names

    return {name: _facts(name) for name in selector_names()}


def _facts(name: str) -> dict[str, str]:
    from specframe.registry import selector_class

    try:
        found = selector_class(name)
    except UnknownSelector as error:  # a broken plug-in must not hide the others
        return {"class": "", "package": "", "summary": str(error)}
    return {
        "class": f"{found.__module__}:{found.__qualname__}",
        "package": found.__module__.partition(".")[0],
        "summary": (inspect.getdoc(found) or "").partition("\n")[0],
    }
