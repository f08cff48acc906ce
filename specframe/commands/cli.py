"""The `specframe` command. Heavy imports happen inside the commands, so that help is quick."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from specframe.errors import SpecframeError

__all__ = ["app", "main"]

# modules of specframe.commands, each with `register(app)`, in the order of the help
COMMANDS = (
    "bench",
    "calibrate",
    "doctor",
    "fetch",
    "generate",
    "ls",
    "predict",
    "profile",
    "report",
    "study",
)
# module with an `app` of its own -> the name it is mounted under
GROUPS = {"specframe.commands.testbed": "testbed"}

USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    help="Faster generation by self-speculative decoding, without changing a token.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no import of rich
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"specframe {version('specframe')}")
        raise typer.Exit()


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options before the command."""


def _mount() -> None:
    for name in COMMANDS:
        import_module(f"specframe.commands.{name}").register(app)
    for module, name in GROUPS.items():
        if find_spec(module) is not None:
            app.add_typer(import_module(module).app, name=name)


_mount()


def main() -> None:
    """Run the command line; what the user got wrong is one line on stderr and exit status 2."""
    try:
        app()
    except SpecframeError as error:
        message = " ".join(str(error).split())
        print(f"{type(error).__name__}: {message}", file=sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
