"""Settings that every test runs under: number of property examples, threads, garbage."""

import gc
import os
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

FAST_EXAMPLES = 50
SLOW_EXAMPLES = 2_000


def register_profiles() -> None:
    common = {
        "deadline": None,  # a slow example is not a failure, since the machine is shared
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
    gc.disable()  # saves a tenth of the time of imports
    settings.load_profile(profile_for(config.getoption("markexpr", "")))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # for worker processes
        os.environ.setdefault(name, str(THREADS))


def pytest_sessionstart(session) -> None:
    """Prepare a process that runs tests; the one that only distributes them imports no torch."""
    if session.config.pluginmanager.hasplugin("dsession"):
        return
    import torch
    import typer.main

    from specframe.contract import registry
    from specframe.executors.fused.native import build

    torch.set_num_threads(THREADS)
    registry._entries = cache(registry._entries)  # reading them takes 10 ms, a thousand times
    typer.main.get_command = cache(typer.main.get_command)  # building it takes 30 ms per command
    for dtype in build.DEFINITIONS:  # kept in the user's cache: compiling takes seconds
        build.compiled(dtype)


@pytest.fixture(autouse=True)
def as_many_threads():
    """Commands change the number of threads; too many of them would halve the speed."""
    import torch

    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder for one test."""
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "cache"))


def pytest_collection_finish() -> None:
    """Exclude objects that imports made from garbage collection."""
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker per core for the whole suite; none for single files, where that is faster."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return len(os.sched_getaffinity(0)) if whole else 0


@pytest.fixture(scope="module")
def own_cache_folder(tmp_path_factory):
    """An empty cache folder for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def place(own_cache_folder, tmp_path, monkeypatch):
    """The working folder of command lines, with faulty files."""
    from doubles.bad_places import bad_place

    return bad_place(tmp_path, monkeypatch)
