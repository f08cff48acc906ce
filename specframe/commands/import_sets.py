"""`specframe import-sets`: skip sets that authors published, as a calibrated folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import Dtype
from specframe.commands.results_file import (
    JsonFile,
    require_folder,
    require_writable,
    write_figures,
)

if TYPE_CHECKING:
    from specframe.contract.selector import LayerSelector

__all__ = ["import_sets"]


def import_sets(
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON file that maps names to {"attention": [layers], "mlp": [layers]}.'
        ),
    ],
    model: Annotated[str, typer.Option(help="The model that the sets are for.")],
    out: Annotated[Path, typer.Option(help="The folder to write the strategy to.")],
    entry: Annotated[
        str | None, typer.Option(help="The name of one set; needed if FILE holds several.")
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(help="KNN-SSD's anchors (.npy), which choose among all sets of FILE."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The domain of each anchor (.npy); goes with --anchors.")
    ] = None,
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Write published skip sets as a strategy, ready for `--strategy OUT`.

    One set makes a static-bo strategy; with anchors, the sets of all domains make a knn-ssd
    strategy. Drafts end by the paper's stop rule. The folder can only be used with the weights of
    this model.
    """
    require_writable(json)
    require_folder(out)
    _require_files(file, anchors, labels, entry)
    from specframe.calibration.run import require_own_folder
    from specframe.contract.published import PublishedFiles
    from specframe.contract.registry import strategy_class
    from specframe.rig import Rig
    from specframe.storage.whole_folder import held_alone

    name = "static-bo" if anchors is None else "knn-ssd"
    require_own_folder(out, name)
    rig = Rig.load(model, dtype=dtype)
    facts = {**rig.facts, "sets": hashlib.sha256(file.read_bytes()).hexdigest()[:16]}
    files = PublishedFiles(file, entry, anchors, labels)
    imported = strategy_class(name).imported(files, rig.shape, facts)
    with held_alone(out):
        imported.save(out)
    found = _sizes(imported)
    for domain, sizes in found.items():
        attention, mlp = sizes["attention"], sizes["mlp"]
        typer.echo(f"{domain}: {attention} attention and {mlp} MLP sublayers skipped")
    typer.echo(f"Their acceptance on {model} was not measured. Use them with --strategy {out}")
    write_figures(
        json, {"schema_version": 1, "selector": name, "model": model, "facts": facts, "sets": found}
    )


def _require_files(
    file: Path, anchors: Path | None, labels: Path | None, entry: str | None
) -> None:
    from specframe.errors import InvalidRequest

    if (anchors is None) != (labels is None):
        raise InvalidRequest("Anchors and their labels go together. Give --anchors and --labels.")
    if anchors is not None and entry is not None:
        raise InvalidRequest(
            f"Anchors choose among all sets of the file, and the entry {entry!r} is one of them. "
            f"Leave out --entry, or --anchors and --labels."
        )
    missing = [path for path in (file, anchors, labels) if path and not path.is_file()]
    if missing:
        raise InvalidRequest(f"There is no file {str(missing[0])!r}. Name an existing file.")


def _sizes(imported: LayerSelector) -> dict[str, dict[str, Any]]:
    """How many sublayers of each kind a set skips, by domain."""
    return {
        domain: {"attention": len(found.skips.attention), "mlp": len(found.skips.mlp)}
        for domain, found in imported.skip_sets().items()
    }
