"""The price of an all-reduce between two devices: given, or measured between two processes."""

from __future__ import annotations

import socket
from time import perf_counter

import torch

from specframe.costs.sharded import Link
from specframe.costs.tables import fit_line
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.profilers.clocks import typical

__all__ = ["GLOO", "link_of"]

GLOO = "gloo"
SIZES = (1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20)  # bytes
TURNS = 40
PATIENCE = 60.0  # seconds


def link_of(text: str) -> Link:
    """`gloo` measures between two processes here; `LATENCY:SPEED` is in microseconds and GB/s."""
    if text == GLOO:
        return _measured()
    latency, _, speed = text.partition(":")
    try:
        link = Link(float(latency) * 1e-6, 1e-9 / float(speed))
    except (ValueError, ZeroDivisionError):
        link = Link(-1.0, -1.0)
    if not (0.0 <= link.latency < 1.0 and 0.0 < link.per_byte < 1.0):
        wanted = "gloo, or microseconds and GB/s with a colon between them, e.g. 20:300"
        raise InvalidConfig.of("ScaleSettings", "link", wanted, text)
    return link


def _measured() -> Link:
    context = torch.multiprocessing.get_context("spawn")
    queue, port = context.SimpleQueue(), _free_port()
    ranks = [
        context.Process(target=_time_sums, args=(rank, port, queue), daemon=True) for rank in (0, 1)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(PATIENCE)
    if any(process.exitcode for process in ranks) or queue.empty():
        for process in ranks:
            process.kill()
        raise InvalidRequest(
            "Two processes of this machine did not complete an all-reduce over gloo in a minute. "
            "Set the price of an all-reduce: --set link=MICROSECONDS:GB_PER_SECOND."
        )
    line = fit_line(SIZES, queue.get())
    return Link(max(line.intercept, 0.0), max(line.slope, 1e-15))


def _time_sums(rank: int, port: int, queue: torch.multiprocessing.SimpleQueue[list[float]]) -> None:
    """Run by both processes; the first one sends the seconds of each size."""
    from torch import distributed

    torch.set_num_threads(1)
    where = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group(GLOO, init_method=where, rank=rank, world_size=2)
    found = []
    for size in SIZES:
        rows, seconds = torch.zeros(size // 2, dtype=torch.bfloat16), []
        for _ in range(TURNS):
            began = perf_counter()
            distributed.all_reduce(rows)
            seconds.append(perf_counter() - began)
        found.append(typical(seconds))
    if rank == 0:
        queue.put(found)
    distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port
