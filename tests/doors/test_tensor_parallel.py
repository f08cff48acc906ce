"""Tensor-parallel generation: two processes, the tokens of one."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

import pytest
import torch
from doubles.rank_worker import answers, forked, loaded
from transformers import AutoConfig

from specframe import Rig
from specframe.costs.model import CostModel
from specframe.doors import tensor_parallel
from specframe.doors.tensor_parallel import allowed_ranks, require_ranks, sharing
from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.testing.architectures import save_tiny_model
from specframe.types import Prompt

TESTS = Path(__file__).parents[1]
ONLINE = ("knapspec", "swift", "clasp", "admg", "del", "cascade", "auto", "prompt-lookup")
HEADLINE = ("static-bo", "knn-ssd", "knap-knn")
FEW = {
    "static-bo": {"evaluations": "8"},
    "knn-ssd": {"evaluations": "8", "domain_evaluations": "4"},
    "knap-knn": {},
}
PATIENCE = 15.0  # seconds within which a rank must notice that another has ended


def places(count):
    """Environment variables of each rank, as torchrun sets them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def started(*arguments, count=2):
    """Start one process per rank, as torchrun does."""
    shared = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "doubles.rank_worker", *map(str, arguments)],
            env={**os.environ, **shared, **place},
            **pipes,
        )
        for place in places(count)
    ]


def printed(*arguments):
    """The last line printed by each of two ranks."""
    found = []
    for process in started(*arguments):
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-2000:]
        found.append(json.loads(out.splitlines()[-1]))
    return found


def returned(*arguments):
    """The same with two forks of this process, which need no imports."""
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        ranks = [pool.submit(forked, place, *arguments) for place in places(2)]
        return [rank.result(timeout=300) for rank in ranks]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return lambda name: save_tiny_model(name, folder / name)


@pytest.fixture(scope="module")
def calibrated(models, tmp_path_factory):
    """Folders of the strategies that calibrate, by family."""

    def of(family):
        rig = Rig.of(loaded(str(models(family))), costs=CostModel.even(4))
        drawn = torch.randint(3, 61, (12, 10), generator=torch.Generator().manual_seed(0))
        prompts = [Prompt(tuple(row), "ab"[i % 2]) for i, row in enumerate(drawn.tolist())]
        folders = []
        for name in HEADLINE:
            found = rig.strategy(name, "best", FEW[name])
            folders.append(tmp_path_factory.mktemp(family) / name)
            found.calibrate(rig.lab(new_tokens=8), prompts).save(folders[-1])
        return list(map(str, folders))

    return of


@pytest.mark.parametrize("family", ["llama", "qwen3", "mixtral"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_give_the_tokens_of_one_process_with_every_strategy(models, calibrated, family):
    strategies = [*ONLINE, *calibrated(family)]
    check(models(family), strategies)


@pytest.mark.filterwarnings("ignore")
def test_two_ranks_give_the_tokens_of_one_process(models):
    check(models("llama"), ["random-skip:faithful"], found_by=returned, new=10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_measure_prices_together_and_plan_alike(models, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    strategies = ["knapspec:faithful", "auto"]
    one = check(models("llama"), strategies, measured=1)
    assert "'ranks': '2'" in one["costs"][0]  # and the other rank's are the same
    (kept,) = (tmp_path / "profiles").iterdir()
    facts = json.loads((kept / "manifest.json").read_text())["fingerprint"]
    assert (facts["executor"], facts["ranks"]) == ("module", "2")


def check(folder, strategies, measured=0, found_by=printed, new=24):
    """Ranks have the same tokens, plans and prices; tokens are those of one process.

    Sampled ones follow the plans, and so the prices.
    """
    one, other = found_by(str(folder), ",".join(strategies), new, 0, measured)
    assert one == other
    alone = answers(loaded(str(folder)), strategies, new)
    alone = {
        n: found for n, found in alone.items() if n != "costs" and not (measured and "True" in n)
    }
    assert {name: one[name][0] for name in alone} == {name: alone[name][0] for name in alone}
    assert sum(drafted for _, drafted, _ in one.values()) > 0
    return one


@pytest.mark.slow
def test_ranks_that_differ_raise_and_do_not_hang(models):
    apart = started(models("llama"), "random-skip:faithful", 24, 1, 0)
    for process in apart:
        _, said = process.communicate(timeout=300)
        assert process.returncode != 0
        assert "RanksParted: The 2 ranks no longer do the same" in said


@pytest.mark.slow
def test_a_killed_rank_ends_the_other_with_a_clear_error(models):
    processes = started(models("llama"), "random-skip:faithful", 240, 0, 0)
    survivor, victim = processes
    assert victim.stdout.readline() == "ready\n"
    assert survivor.stdout.readline() == "ready\n"
    victim.send_signal(signal.SIGKILL)
    killed = monotonic()
    _, said = survivor.communicate(timeout=PATIENCE)
    assert monotonic() - killed < PATIENCE
    assert survivor.returncode != 0
    assert "RanksParted: Another rank ended or cannot be reached" in said
    victim.communicate()


@pytest.mark.parametrize(
    ("family", "settings", "allowed"),
    [
        ("llama", {"num_attention_heads": 8, "num_key_value_heads": 4}, (1, 2, 4)),
        ("qwen3", {"num_attention_heads": 6, "num_key_value_heads": 6}, (1, 2, 3, 6)),
        ("mixtral", {"num_key_value_heads": 8, "intermediate_size": 36}, (1, 2, 4)),
        ("gpt2", {}, (1,)),
    ],
)
def test_heads_and_experts_limit_the_number_of_ranks(family, settings, allowed):
    config = AutoConfig.for_model(family, **settings)
    assert allowed_ranks(config) == allowed
    if allowed == (1,):
        with pytest.raises(UnsupportedModel, match="no tensor-parallel plan"):
            require_ranks(config, 2)
    else:
        require_ranks(config, 2)
        with pytest.raises(InvalidRequest, match="Got 5 instead"):
            require_ranks(config, 5)


def test_one_process_or_a_model_made_here_is_refused(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(InvalidRequest, match="torchrun --nproc-per-node 2"):
        sharing("some/model", None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidRequest, match="save_pretrained"):
        sharing("testbed", None)


def test_on_a_machine_with_gpus_the_cpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InvalidRequest, match="--device cuda"):
        tensor_parallel._connect("cpu")
