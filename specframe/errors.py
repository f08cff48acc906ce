"""Every error a user can meet.

SpecframeError
├── InvalidRequest          what was asked for cannot be done as asked (also a ValueError)
│   ├── InvalidSkipSet      a skip set names sublayers the model does not have
│   ├── InvalidDraftPlan    a plan asks for what this model or strategy cannot draft
│   ├── InvalidConfig       a configuration value is outside its range
│   └── PromptTooLong       prompt and budget exceed the positions of the model or the cache
├── UnknownStrategy         no strategy of that name is registered
├── UnsupportedModel        no executor can run this model
├── SolverMissing           no integer-program solver is installed
├── StudiesFailed           some of several studies failed; those that did not are written
├── NonFiniteLogits         the model's own logits hold NaN or infinity
└── ArtefactError           a saved artefact is unreadable, or was made for something else
    └── CalibrationMismatch
"""

__all__ = [
    "ArtefactError",
    "CalibrationMismatch",
    "InvalidConfig",
    "InvalidDraftPlan",
    "InvalidRequest",
    "InvalidSkipSet",
    "NonFiniteLogits",
    "PromptTooLong",
    "SolverMissing",
    "SpecframeError",
    "StudiesFailed",
    "UnknownStrategy",
    "UnsupportedModel",
]


class SpecframeError(Exception):
    """Base of all errors; its message says what, the value, what is allowed and what to do."""


class InvalidRequest(SpecframeError, ValueError):
    """What was asked for cannot be done as asked; also a ValueError.

    Remedy: ask as the message says, which names the value and what is allowed.
    """


class InvalidSkipSet(InvalidRequest):
    """A skip set names sublayers that the model does not have, or was made for another depth.

    Remedy: make it with `SkipSet.of(layers, ...)` for the layers that `specframe doctor` counts.
    """


class InvalidDraftPlan(InvalidRequest):
    """A plan asks for what this model, or the strategy's head, cannot draft.

    Remedy: mend `select`; `specframe.testing.check_selector` finds such plans.
    """


class InvalidConfig(InvalidRequest):
    """A configuration has no such parameter, or its value is outside its range.

    Remedy: choose within the range that the message gives; parameters are listed under
    configuration.
    """

    @classmethod
    def of(cls, owner: str, name: str, constraint: str, value: object) -> "InvalidConfig":
        """The house form of a parameter error."""
        return cls(
            f"The {name!r} parameter of {owner} must be {constraint}. Got {value!r} instead."
        )


class PromptTooLong(InvalidRequest):
    """Prompt and new tokens together exceed the positions of the model or of the cache.

    Remedy: shorten the prompt, or ask for fewer new tokens.
    """


class UnknownStrategy(SpecframeError, KeyError):
    """No strategy of that name is registered; also a KeyError.

    Remedy: take the name that the message suggests, or one that `specframe ls` shows.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print the repr


class UnsupportedModel(SpecframeError):
    """No executor can run this model losslessly.

    Remedy: do what the message says for this family; `specframe doctor` tells it in advance.
    """


class SolverMissing(SpecframeError):
    """No integer-program solver is installed.

    Remedy: `pip install highspy`, or the dynamic program, which needs none.
    """


class NonFiniteLogits(SpecframeError):
    """The full model's logits hold NaN or infinity, so no token can be decided.

    Remedy: check the weights, or run the model in bfloat16 or float32.
    """


class StudiesFailed(SpecframeError):
    """Some of several studies failed; the message says which and why.

    Remedy: mend what the message names, and run the same command: finished rows are kept.
    """


class ArtefactError(SpecframeError):
    """A saved profile, calibration or results file is unreadable, or cannot be written.

    Remedy: name the folder that was meant, or make the artefact again.
    """


class CalibrationMismatch(ArtefactError):
    """An artefact was made for another model or set-up.

    Remedy: run `specframe calibrate` or `specframe profile` for this one.
    """
