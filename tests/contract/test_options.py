"""Settings in text."""

from dataclasses import dataclass

import pytest

from specframe.contract.options import with_options
from specframe.errors import InvalidConfig
from specframe.types import ModelShape, StopRule

SHAPE = ModelShape(4, 16, 32, 2, 1, 8, 24, 64)


@dataclass(frozen=True)
class Settings:
    count: int = 1
    share: float = 0.5
    eager: bool = False
    layers: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    stop: StopRule = StopRule(1)


def test_text_is_read_as_the_type_of_the_field():
    given = {"count": "3", "share": "0.25", "eager": "true", "layers": "1,2,5"}
    assert with_options(Settings(), given) == Settings(3, 0.25, True, (1, 2, 5))
    several = with_options(Settings(), {"shares": "0, 0.3,1", "names": "swift, clasp"})
    assert (several.shares, several.names) == ((0.0, 0.3, 1.0), ("swift", "clasp"))


def test_an_unknown_setting_is_named_with_its_nearest_match():
    with pytest.raises(InvalidConfig, match=r"no parameter 'shar'. Did you mean 'share'"):
        with_options(Settings(), {"shar": "1"})


def test_text_of_another_type_is_refused_with_what_is_allowed():
    with pytest.raises(InvalidConfig, match="'count' parameter of Settings must be a whole number"):
        with_options(Settings(), {"count": "many"})
    with pytest.raises(InvalidConfig, match="must be true or false"):
        with_options(Settings(), {"eager": "perhaps"})


def test_a_setting_without_a_textual_form_is_refused():
    with pytest.raises(InvalidConfig, match="only be given in Python"):
        with_options(Settings(), {"stop": "3"})
