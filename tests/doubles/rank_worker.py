"""One rank of a tensor-parallel model: answers prompts and prints the tokens as JSON.

Arguments: a folder with a model, strategies with commas between them, the number of new tokens, and
how far the seeds of neighbouring ranks lie apart.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

from specframe import SelfSpeculator
from specframe.costs.model import CostModel
from specframe.doors.tensor_parallel import leave

PROMPT = [5, 9, 20, 7, 11, 9, 20, 7]


def answers(model, strategies, new, seed=3):
    """Tokens of a greedy and a sampled answer of each strategy, and how many were drafted."""
    found = {}
    for strategy in strategies:
        costs = CostModel.even(model.config.num_hidden_layers)
        speculator = SelfSpeculator(model, strategy, costs=costs)
        for sampled in (False, True):
            output = speculator.generate(PROMPT, max_new_tokens=new, do_sample=sampled, seed=seed)
            tokens = output.sequences[0].tolist()
            found[f"{strategy} {sampled}"] = [tokens, output.stats.drafted]
    return found


def loaded(folder, **kwargs):
    """In float64, in which the library's experts run only one by one."""
    experts = {} if "mixtral" not in folder else {"experts_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, **experts, **kwargs)
    return model.eval()


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, strategies, new, apart = sys.argv[1:]
    seed = 3 + int(apart) * int(os.environ["RANK"])
    count = int(os.environ["WORLD_SIZE"])
    model = loaded(folder, distributed_config=DistributedConfig(tp_size=count))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(answers(model, strategies.split(","), int(new), seed)) + "\n")
    leave()
