"""`specframe lm-eval`: lm-eval's own command, with the model `specframe`."""

from __future__ import annotations

import sys

import typer

from specframe.errors import InvalidRequest

__all__ = ["AS_GIVEN", "lm_eval"]

# every option is lm-eval's, --help too
AS_GIVEN = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def lm_eval(context: typer.Context) -> None:
    """Run lm-eval with the model `specframe` added; the arguments are those of `lm_eval`.

    lm-eval's own command cannot find models of other packages. Needs pip install
    'specframe[lm-eval]'.
    """
    try:
        from lm_eval.__main__ import cli_evaluate
    except ImportError as error:
        raise InvalidRequest(
            f"lm-eval cannot be imported ({error}). Install it: pip install 'specframe[lm-eval]'."
        ) from error
    from specframe.doors import lm_eval_model  # noqa: F401 (it registers the model)

    sys.argv = ["lm_eval", *context.args]
    cli_evaluate()
