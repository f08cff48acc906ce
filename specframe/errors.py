"""All errors that specframe raises for users.

SpecframeError
├── InvalidRequest          a request that cannot be carried out (also a ValueError)
│   ├── InvalidSkipSet      a skip set names sublayers the model does not have
│   ├── InvalidDraftPlan    a plan does not fit this model or strategy
│   ├── InvalidConfig       a configuration value is outside its range
│   └── PromptTooLong       prompt and budget exceed the positions of the model or the cache
├── UnknownStrategy         no strategy of that name is registered
├── UnsupportedModel        no executor can run this model
├── SolverMissing           no integer-program solver is installed
├── RayMissing              a cluster is needed, and Ray is not installed
├── WorkersFailed           workers of a cluster failed, or differ from each other
├── DownloadFailed          a model could not be downloaded, or is not the expected one
├── RanksParted             a rank of a tensor-parallel model ended, or differs from the others
├── StudiesFailed           some of several studies failed; results of the others are written
├── NonFiniteLogits         the model's own logits contain NaN or infinity
└── ArtefactError           a saved artefact is unreadable, or was made for something else
    └── CalibrationMismatch
"""

import math

__all__ = [
    "ArtefactError",
    "CalibrationMismatch",
    "DownloadFailed",
    "InvalidConfig",
    "InvalidDraftPlan",
    "InvalidRequest",
    "InvalidSkipSet",
    "NonFiniteLogits",
    "PromptTooLong",
    "RanksParted",
    "RayMissing",
    "SolverMissing",
    "SpecframeError",
    "StudiesFailed",
    "UnknownStrategy",
    "UnsupportedModel",
    "WorkersFailed",
]

LONGEST_SHOWN = 80  # characters of a value in a message


def shown(value: object) -> str:
    """A value for a message; long values are cut."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print the longest
        return f"a number of about {int(value.bit_length() * math.log10(2))} digits"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


class SpecframeError(Exception):
    """Base class of all errors; messages give the problem, the value and the remedy."""


class InvalidRequest(SpecframeError, ValueError):
    """A request that cannot be carried out; also a ValueError.

    Remedy: change the request as the message says; it names the value and what is allowed.
    """


class InvalidSkipSet(InvalidRequest):
    """A skip set names sublayers that the model lacks, or was made for another number of layers.

    Remedy: use `SkipSet.of(layers, ...)` with the number of layers that `specframe doctor` shows.
    """


class InvalidDraftPlan(InvalidRequest):
    """A plan that does not fit this model or the strategy's draft head.

    Remedy: correct the planner's `plan`; `specframe.testing.check_selector` finds such plans.
    """


class InvalidConfig(InvalidRequest):
    """A configuration has no such parameter, or its value is outside its range.

    Remedy: choose a value in the range that the message gives. The configuration page lists all
    parameters.
    """

    @classmethod
    def of(cls, owner: str, name: str, constraint: str, value: object) -> "InvalidConfig":
        """The error that a parameter must satisfy `constraint`."""
        return cls(
            f"The {name!r} parameter of {owner} must be {constraint}. Got {shown(value)} instead."
        )


class PromptTooLong(InvalidRequest):
    """Prompt and new tokens together exceed the positions of the model or of the cache.

    Remedy: shorten the prompt, or ask for fewer new tokens.
    """


class UnknownStrategy(SpecframeError, KeyError):
    """No strategy of that name is registered; also a KeyError.

    Remedy: use the name that the message suggests, or one that `specframe ls` shows.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print the repr


class UnsupportedModel(SpecframeError):
    """No executor can run this model losslessly.

    Remedy: do what the message says for this family; `specframe doctor` also says it in advance.
    """


class SolverMissing(SpecframeError):
    """No integer-program solver is installed.

    Remedy: `pip install highspy`, or leave out `memory`, the only setting that needs a solver.
    """


class RayMissing(SpecframeError):
    """A command needs a Ray cluster, and Ray is not installed.

    Remedy: `pip install 'specframe[ray]'`, or leave out `--ray`.
    """


class WorkersFailed(SpecframeError):
    """Workers of a cluster cannot be reached or started, have another model, or all failed.

    Remedy: do what the message says and resume the run; finished rows are saved.
    """


class DownloadFailed(SpecframeError):
    """A model could not be downloaded, or the file that arrived is not the expected one.

    Remedy: check the connection and pip's index, then run `specframe fetch` again; finished steps
    are saved.
    """


class NonFiniteLogits(SpecframeError):
    """The full model's logits contain NaN or infinity, so no token can be chosen.

    Remedy: check the weights, or run the model in bfloat16 or float32.
    """


class RanksParted(SpecframeError):
    """A rank of a tensor-parallel model ended, or the ranks no longer do the same.

    Remedy: read the output of the other ranks; start all ranks again, with the same arguments.
    """


class StudiesFailed(SpecframeError):
    """Some of several studies failed; the message says which and why.

    Remedy: fix what the message names and run the same command again; finished rows are saved.
    """


class ArtefactError(SpecframeError):
    """A saved profile, calibration or results file is unreadable, or cannot be written.

    Remedy: name the correct folder, or create the artefact again.
    """


class CalibrationMismatch(ArtefactError):
    """An artefact was made for another model or set-up.

    Remedy: run `specframe calibrate` or `specframe profile` for this one.
    """
