"""Modules and parameters are those that torch lists."""

from torch import nn

from specframe.executors.module_tree import named_modules, parameters


def _network() -> nn.Module:
    shared = nn.Linear(2, 2)
    network = nn.Sequential(nn.Sequential(shared, nn.ReLU()), nn.ModuleList([shared]))
    network.register_module("absent", None)
    return network


def test_modules_are_those_of_torch_with_their_names() -> None:
    network = _network()
    assert sorted(named_modules(network)) == sorted(network.named_modules())
    assert named_modules(network)[0] == ("", network)


def test_parameters_are_those_of_torch() -> None:
    network = _network()
    found = {id(parameter) for parameter in parameters(network)}
    assert found == {id(parameter) for parameter in network.parameters()}


def test_parameters_that_are_absent_are_left_out() -> None:
    assert len(parameters(nn.Linear(2, 2, bias=False))) == 1
