"""What the tests of commands share: prices of a tiny model, and rounds that are timed briefly."""

import pytest
from doubles.long_commands import known_prices


@pytest.fixture(autouse=True, scope="session")
def few_rounds():
    """The prices of rounds are measured on few of them: these tests do not look at their values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("specframe.costs.rounds.ROUNDS", (2, 2))
        yield


@pytest.fixture(scope="session")
def priced(few_rounds, tmp_path_factory):
    """A cache folder with the prices of the tiny model, measured once."""
    folder = tmp_path_factory.mktemp("priced")
    known_prices(folder)
    return folder / "cache"
