"""How fast one sequence decodes without a strategy, compared with other programs and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specframe.bench.engine.decoders import HEADS, Decoder, decoders
from specframe.bench.report.figure import Figure
from specframe.bench.report.markup import Markup, tag, text
from specframe.bench.report.panels import scroller

__all__ = ["engine_figure"]

NAME, TITLE = "engine", "The engine without a strategy"


def engine_figure(figures: Mapping[str, Any]) -> Figure:
    """A line for each program; `figures` are those of `bench engine`."""
    caption = (
        f"Greedy autoregressive decoding of {figures['shape']['name']} by each program, from "
        "`specframe bench engine`. The limit is the memory bandwidth of the machine divided by the "
        "bytes of weights that are read for each token."
    )
    head = tag("thead", tag("tr", *(tag("th", text(name), scope="col") for name in HEADS)))
    body = tag("tbody", *(_line(decoder) for decoder in decoders(figures)))
    return Figure(NAME, TITLE, caption, scroller(tag("table", head, body), TITLE))


def _line(decoder: Decoder) -> Markup:
    cells = (tag("td", text(shown)) for shown in decoder.shown)
    return tag("tr", tag("th", text(decoder.name), scope="row"), *cells, data_mark=NAME)
