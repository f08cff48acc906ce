"""One rank of a tensor-parallel model: generates for prompts and prints the tokens as JSON.

Arguments: a folder with a model, strategies with commas between them, the number of new tokens, how
far the seeds of neighbouring ranks lie apart, and whether prices are measured.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

from specframe import SelfSpeculator
from specframe.costs.measure import measured_profile
from specframe.costs.model import CostModel
from specframe.doors.tensor_parallel import leave
from specframe.executors.load import load_executor

PROMPT = [5, 9, 20, 7, 11, 9, 20, 7]


def answers(model, strategies, new, seed=3, measured=False):
    """Tokens of a greedy and a sampled generation of each strategy, and the plans."""
    found = {}
    for strategy in strategies:
        costs = None if measured else CostModel.even(model.config.num_hidden_layers)
        speculator = SelfSpeculator(model, strategy, costs=costs)
        for sampled in (False, True):
            rounds = [*speculator.rounds(PROMPT, max_new_tokens=new, do_sample=sampled, seed=seed)]
            tokens = [token for done in rounds for token in done.tokens]
            plans = [str(done.outcome.plan) for done in rounds if done.outcome is not None]
            drafted = sum(len(done.outcome.draft.tokens) for done in rounds[1:])
            found[f"{strategy} {sampled}"] = [tokens, drafted, plans]
        found["costs"] = [str(speculator.costs), 0, []]
    return found


def loaded(folder, **kwargs):
    """In float64, in which the library's experts run only one by one."""
    experts = {} if "mixtral" not in folder else {"experts_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, **experts, **kwargs)
    return model.eval()


def main(folder, strategies, new, apart, measured):
    torch.set_num_threads(1)
    seed = 3 + int(apart) * int(os.environ["RANK"])
    count = int(os.environ["WORLD_SIZE"])
    model = loaded(folder, distributed_config=DistributedConfig(tp_size=count))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if int(measured):
        measured_profile(model, load_executor(model), budget=0.2)  # and found later
    found = answers(model, strategies.split(","), int(new), seed, bool(int(measured)))
    leave()
    return found


def forked(places, *arguments):
    """A rank in a copy of a process that has imported everything."""
    os.environ.update(places)
    return main(*arguments)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
