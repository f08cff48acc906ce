"""Settings that every test runs under: number of property examples, threads, garbage."""

import gc
import os
from functools import cache

import pytest
import torch
import typer.main
from doubles.bad_places import bad_place
from hypothesis import HealthCheck, settings

from specframe.contract import registry
from specframe.executors.fused.native import build

FAST_EXAMPLES = 50
SLOW_EXAMPLES = 2_000


def register_profiles() -> None:
    common = {
        "deadline": None,  # the machine is shared: a slow example is no failure
        "derandomize": True,
        "suppress_health_check": [HealthCheck.too_slow],
    }
    settings.register_profile("default", max_examples=FAST_EXAMPLES, **common)
    settings.register_profile("slow", max_examples=SLOW_EXAMPLES, **common)


def profile_for(mark_expression: str) -> str:
    named = os.environ.get("SPECFRAME_HYPOTHESIS_PROFILE")
    return named or ("slow" if mark_expression == "slow" else "default")


THREADS = int(os.environ.get("SPECFRAME_TEST_THREADS", "1"))

register_profiles()


def pytest_configure(config) -> None:
    gc.disable()  # a tenth of the time of imports
    settings.load_profile(profile_for(config.getoption("markexpr", "")))
    torch.set_num_threads(THREADS)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # workers begin with them
        os.environ.setdefault(name, str(THREADS))
    registry._entries = cache(registry._entries)  # reading them takes 10 ms, a thousand times
    typer.main.get_command = cache(typer.main.get_command)  # building it takes 30 ms a command
    for dtype in build.DEFINITIONS:  # kept by the user's cache: compiling takes seconds a test
        build.compiled(dtype)


@pytest.fixture(autouse=True)
def as_many_threads():
    """Commands set the number for good; workers with more threads than cores are half as fast."""
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Nothing that is kept on this machine is found, and nothing is left behind."""
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "cache"))


def pytest_collection_finish() -> None:
    """What imports made stays, so that it need not be looked through again and again."""
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker a core for a whole suite; none for named files, where starting them takes longer."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return len(os.sched_getaffinity(0)) if whole else 0


@pytest.fixture(scope="module")
def own_cache_folder(tmp_path_factory):
    """The same for all tests of a file together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def place(own_cache_folder, tmp_path, monkeypatch):
    """The folder with faulty files that command lines are given in."""
    return bad_place(tmp_path, monkeypatch)
