"""The `specframe` command. Heavy imports happen inside the commands, so that help is quick."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from specframe.commands import (
    bench,
    calibrate,
    comparing,
    doctor,
    export,
    fetch,
    generate,
    import_sets,
    lm_eval,
    ls,
    predict,
    profile,
    report,
    rounding,
    study,
    testbed,
)
from specframe.commands.interrupts import INTERRUPTED, tell_interrupted
from specframe.errors import SpecframeError
from specframe.storage.user_cache import is_full, not_written

__all__ = ["app", "main"]

USAGE = 2


class Interruptible(TyperGroup):
    """Prints one line when a command is interrupted, with the text that `resumable` added."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            tell_interrupted(str(error))
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=Interruptible,
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


app.add_typer(bench.bench, name="bench")
app.add_typer(testbed.app, name="testbed")
for command in (
    comparing.compare,
    calibrate.calibrate,
    doctor.doctor,
    export.export,
    fetch.fetch,
    generate.generate,
    import_sets.import_sets,
    ls.ls,
    predict.predict,
    profile.profile,
    report.report,
    study.study,
):
    app.command()(command)
app.command("round")(rounding.round_)


app.command("lm-eval", context_settings=lm_eval.AS_GIVEN)(lm_eval.lm_eval)


def main() -> None:
    """Run the command line; an error of the user is one line on stderr and exit status 2."""
    try:
        app()
    except SpecframeError as error:
        _refuse(error)
    except OSError as error:
        if not is_full(error):
            raise
        _refuse(not_written(error.filename or "The output", error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _refuse(error: SpecframeError) -> None:
    message = " ".join(str(error).split())
    print(f"{type(error).__name__}: {message}", file=sys.stderr)
    sys.exit(USAGE)
