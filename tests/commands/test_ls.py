"""`specframe ls`: every strategy with its properties."""

import json
from dataclasses import asdict, fields

import pytest
from doubles.command_line import specframe

from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.selector import Traits
from specframe.errors import UnknownStrategy


def test_ls_shows_a_broken_plug_in_and_the_others(monkeypatch, tmp_path):
    from specframe.contract import registry

    real = registry.strategy_class

    def broken(name: str) -> type:
        if name == "fixed":
            raise UnknownStrategy("the strategy 'fixed' cannot be loaded")
        return real(name)

    monkeypatch.setattr(registry, "strategy_class", broken)
    target = tmp_path / "strategies.json"
    assert specframe(monkeypatch, "ls", "--json", str(target)) == 0
    found = json.loads(target.read_text(encoding="utf-8"))["selectors"]
    assert "cannot be loaded" in found["fixed"]["summary"]
    assert found["autoregressive"]["package"] == "specframe"


@pytest.mark.parametrize("name", strategy_names())
def test_every_strategy_class_defines_its_own_traits(name):
    found = strategy_class(name)
    assert isinstance(vars(found).get("traits"), Traits)


def test_ls_shows_every_column(monkeypatch, capsys, tmp_path):
    target = tmp_path / "selectors.json"
    assert specframe(monkeypatch, "ls", "--json", target) == 0
    assert list(tmp_path.iterdir()) == [target]
    rows = json.loads(target.read_text(encoding="utf-8"))["selectors"]
    assert rows["fixed"]["class"] == "specframe.strategies.fixed:FixedSkips"
    assert sorted(rows) == strategy_names()
    columns = {f.name for f in fields(Traits)} - {"split", "prompts"}
    for name, row in rows.items():
        traits = asdict(strategy_class(name).traits)
        assert {column: row[column] for column in columns} == {c: traits[c] for c in columns}
    lines = capsys.readouterr().out.splitlines()
    (swift,) = [line.split() for line in lines if line.startswith("  swift")]
    assert swift[:7] == ["swift", "yes", "yes", "yes", "yes", "-", "-"]
