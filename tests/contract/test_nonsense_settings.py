"""No setting of any registered strategy takes nonsense: each is refused before a model is known."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from doubles.command_line import specframe

from specframe.contract.naming import require_strategy
from specframe.contract.registry import strategy_class, strategy_names
from specframe.errors import SpecframeError

NO_NUMBER = ("nan", "inf", "-inf", "1e999", "", "some", "true", "9" * 5000)
NO_WHOLE_NUMBER = (*NO_NUMBER, "-1", "1.5", "1e3", "9" * 30)
NONSENSE = {
    int: NO_WHOLE_NUMBER,
    float: (*NO_NUMBER, "-1.5"),
    bool: ("", "1", "yes", "nan", "truee"),
    tuple[int, ...]: ("nan", "some", "1,some", "1.5", "-1", "1,-2", "9" * 30),
    tuple[float, ...]: ("nan", "some", "0.5,some", "0.5,inf", "-1.5"),
    str: ("", "nan", "some", "9" * 5000),
    int | str: ("some", "nan", "inf", "-1", "9" * 5000),
}
SHARES = ("confidence", "drift", "enough", "floor", "margin", "most_skipped", "share", "target")
COSINES = ("similarity", "threshold")
DRAFTS = ("draft", "longest", "longest_priced")
ANY_TEXT = {("draft-model", "model")}  # a name that is looked up when the model is loaded
ANY_NUMBER = {("auto", "share"), ("cascade", "longest"), ("prompt-lookup", "longest")}


def options() -> Iterator[tuple[str, str, str, Any]]:
    """Strategy, preset, setting and its type."""
    for name in strategy_names():
        for preset, config in strategy_class(name).presets.items():
            hints = get_type_hints(type(config))
            for field in fields(config):
                yield name, preset, field.name, hints[field.name]


def nonsense(name: str, setting: str, kind: Any) -> Iterator[str]:
    if (name, setting) not in ANY_TEXT:
        yield from NONSENSE[kind]
    if (name, setting) in ANY_NUMBER:
        return
    if setting in SHARES or setting in COSINES:
        yield "1.01"
    if setting in DRAFTS:
        yield "65"


@pytest.mark.parametrize("name", strategy_names())
def test_nonsense_is_refused_with_the_setting_its_value_and_its_limits(name):
    taken = []
    for owner, preset, setting, kind in options():
        if owner != name:
            continue
        for text in nonsense(name, setting, kind):
            try:
                require_strategy(name, preset, {setting: text})
            except SpecframeError as error:
                message = str(error)
                assert setting in message
                assert "must be " in message
                assert text[:40] in message
                assert len(message) < 600
            else:
                taken.append((preset, setting, text[:20]))
    assert not taken


@pytest.mark.parametrize("name", strategy_names())
def test_an_unknown_setting_is_refused(name):
    for preset in strategy_class(name).presets or ("best",):
        with pytest.raises(SpecframeError, match="no_such"):
            require_strategy(name, preset, {"no_such": "1"})


@pytest.mark.parametrize("command", ["generate", "predict", "calibrate"])
def test_a_command_refuses_nonsense_before_it_loads_a_model(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("specframe.rig.load", None)
    line = {
        "generate": ("generate", "hi", "--strategy", "static-bo"),
        "predict": ("predict", "--strategy", "static-bo"),
        "calibrate": ("calibrate", "static-bo", "--out", tmp_path / "new"),
    }[command]
    assert specframe(monkeypatch, *line, "--set", "confidence=1.01") == 2
    message = capsys.readouterr().err
    assert message.startswith("InvalidConfig: ")
    assert "'confidence' parameter" in message
    assert "must be in [0, 1]. Got 1.01 instead." in message
    assert message.count("\n") == 1
