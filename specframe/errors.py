"""Every error a user can meet.

SpecframeError
├── InvalidRequest          what was asked for cannot be done as asked (also a ValueError)
│   ├── InvalidSkipSet      a skip set names sublayers the model does not have
│   ├── InvalidDraftPlan    a plan asks for what this model or selector cannot draft
│   ├── InvalidConfig       a configuration value is outside its range
│   └── PromptTooLong       prompt and budget exceed the positions of the model or the cache
├── UnknownSelector         no selector of that name is registered
├── UnsupportedModel        no executor can run this model
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
    "SpecframeError",
    "StudiesFailed",
    "UnknownSelector",
    "UnsupportedModel",
]


class SpecframeError(Exception):
    """Base of all errors; its message says what, the value, what is allowed and what to do."""


class InvalidRequest(SpecframeError, ValueError):
    """The request itself is wrong."""


class InvalidSkipSet(InvalidRequest):
    """A skip set does not fit the model."""


class InvalidDraftPlan(InvalidRequest):
    """A plan asks for what this model, or the selector's head, cannot draft."""


class InvalidConfig(InvalidRequest):
    """A configuration value is outside its range."""

    @classmethod
    def of(cls, owner: str, name: str, constraint: str, value: object) -> "InvalidConfig":
        """The house form of a parameter error."""
        return cls(
            f"The {name!r} parameter of {owner} must be {constraint}. Got {value!r} instead."
        )


class PromptTooLong(InvalidRequest):
    """Prompt and budget do not fit."""


class UnknownSelector(SpecframeError, KeyError):
    """No selector of that name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print the repr


class UnsupportedModel(SpecframeError):
    """No executor can run this model losslessly; the message says why and what to do."""


class NonFiniteLogits(SpecframeError):
    """The target's logits hold NaN or infinity, so no token can be decided."""


class StudiesFailed(SpecframeError):
    """Some of several studies failed; the message says which and why."""


class ArtefactError(SpecframeError):
    """A saved artefact cannot be used."""


class CalibrationMismatch(ArtefactError):
    """An artefact was made for another model or set-up."""
