"""Quantised weights, and weights that are stored elsewhere until their module is called."""

import pytest
import torch
from doubles.architecture_doubles import logits_in_blocks, own_logits, random_tokens
from transformers import AutoModelForCausalLM, StoppingCriteria

from specframe import Rig
from specframe.contract.published import PublishedFiles
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.doors.custom_generate import custom_generate
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.load import load_executor
from specframe.strategies import StaticBO
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing.architectures import save_tiny_model, tiny_model
from specframe.types import SkipSet, StopRule

TOKENS = random_tokens(30)


def slow(*names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


class StopAtOnce(StoppingCriteria):
    def __call__(self, input_ids, scores, **kwargs):
        return torch.tensor([True], device=input_ids.device)


def tokens_of(executor, strategy):
    engine = Engine(executor, strategy, Law(), Limits(10))
    return [token for done in engine.rounds([5, 6, 7]) for token in done.tokens]


def assert_runs_as_the_library_does(model, atol=1e-4):
    executor = load_executor(model)
    assert executor.name == "module"
    walked = logits_in_blocks(executor, TOKENS, (17, 1, 8, 4))
    torch.testing.assert_close(walked, own_logits(model, TOKENS), atol=atol, rtol=0)
    expected = tokens_of(executor, Autoregressive())
    assert tokens_of(executor, FixedSkips(SkipSet(8, 0b00111000), StopRule(4))) == expected
    return executor


@pytest.mark.parametrize("name", ["llama", *slow("gemma2")])
def test_int8_weights_run_on_the_module_executor(name):
    quanto = pytest.importorskip("optimum.quanto")
    model = tiny_model(name, torch.float32)
    plain = own_logits(model, TOKENS)
    quanto.quantize(model, weights=quanto.qint8)
    quanto.freeze(model)
    assert_runs_as_the_library_does(model)
    assert not torch.allclose(own_logits(model, TOKENS), plain, atol=1e-3)


@pytest.mark.parametrize("name", ["llama", *slow("gpt_neox", "mixtral")])
def test_layers_offloaded_to_disk_are_fetched_as_they_are_walked(name, tmp_path):
    pytest.importorskip("accelerate")
    folder = save_tiny_model(name, tmp_path / "model")
    whole = AutoModelForCausalLM.from_pretrained(folder).eval()
    model = AutoModelForCausalLM.from_pretrained(
        folder, device_map=places(whole), offload_folder=tmp_path / "offload"
    )
    assert str(next(model.get_decoder().layers[1].parameters()).device) == "meta"
    executor = assert_runs_as_the_library_does(model)
    assert str(executor.device) == "cpu"
    torch.testing.assert_close(
        own_logits(model, TOKENS), own_logits(whole, TOKENS), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("name", ["opt", *slow("llama")])
def test_weights_offloaded_to_memory_are_fetched_as_they_are_walked(name):
    accelerate = pytest.importorskip("accelerate")
    model = tiny_model(name, torch.float32)
    expected = own_logits(model, TOKENS)
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert {str(parameter.device) for parameter in model.parameters()} == {"meta"}
    executor = assert_runs_as_the_library_does(model)
    walked = logits_in_blocks(executor, TOKENS, (30,))
    torch.testing.assert_close(walked, expected, atol=1e-4, rtol=0)


def test_an_offloaded_model_generates_through_both_interfaces_as_the_library_does():
    accelerate = pytest.importorskip("accelerate")
    model = tiny_model("llama", torch.float32)
    settings = {"max_new_tokens": 8, "repetition_penalty": 1.3}
    prompt = torch.tensor([[5, 6, 7]])
    wanted = model.generate(prompt, do_sample=False, **settings)
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert model.device.type == "meta"
    speculator = SelfSpeculator(model, FixedSkips(SkipSet(8, 0b00111000), StopRule(4)))
    assert torch.equal(speculator.generate(prompt, **settings).sequences, wanted)
    sampled = {"do_sample": True, "seed": 1, "stopping_criteria": [StopAtOnce()]}
    assert speculator.generate(prompt, **settings, **sampled).sequences.shape == (1, 4)
    door = custom_generate(speculator.strategy)
    found = model.generate(prompt, do_sample=False, custom_generate=door, **settings)
    assert torch.equal(found, wanted)


def test_a_calibration_of_an_offloaded_model_holds_for_the_whole_one(tmp_path):
    """The weights are on the meta device, so only the shape is compared."""
    accelerate = pytest.importorskip("accelerate")
    offloaded, whole = (tiny_model("llama", torch.float32) for _ in range(2))
    accelerate.cpu_offload(offloaded, execution_device=torch.device("cpu"))
    rig = Rig.of(offloaded)
    (tmp_path / "sets.json").write_text('{"m": {"attention": [1], "mlp": [1, 2]}}')
    files = PublishedFiles(tmp_path / "sets.json")
    StaticBO.imported(files, rig.shape, rig.facts).save(tmp_path / "found")
    outputs = [
        SelfSpeculator(model, tmp_path / "found").generate([5, 6, 7], max_new_tokens=8)
        for model in (offloaded, whole)
    ]
    assert torch.equal(outputs[0].sequences, outputs[1].sequences)
    assert all(output.stats.drafted > 0 for output in outputs)


def places(model):
    """A device map with the two middle layers on disk."""
    stack = model.base_model_prefix
    inner = [name for name, _ in model.get_decoder().named_children() if name != "layers"]
    inner += [f"layers.{i}" for i in range(4)]
    where = {f"{stack}.{name}": "cpu" for name in inner}
    where |= {name: "cpu" for name, _ in model.named_children() if name != stack}
    return where | {f"{stack}.layers.{i}": "disk" for i in (1, 2)}
