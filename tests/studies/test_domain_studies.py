"""Studies of domains if the speed of every skip set on every domain is known."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
import torch
from doubles.priced_worlds import planted_rig

from specframe.strategies.knn_ssd import DomainSets, KnnSsd
from specframe.strategies.shared.domains.lookup import memory_of
from specframe.studies import anchors, domain_overlap, hidden_space, mix_ratio, out_of_domain
from specframe.studies.framework.running import run_study
from specframe.studies.worlds import domain_strategies
from specframe.studies.worlds.domain_strategies import MIXED, DomainSettings, Priced
from specframe.testbed.corpus import DOMAINS, HELD_OUT
from specframe.types import Prompt

HOME, AWAY, EVERYWHERE = 2.0, 1.25, 1.6
WIDTH = 8
NO_RIG = SimpleNamespace(tokenizer=None, strategy=lambda name: SimpleNamespace())


def tokens(domain, index=0, kind=0):
    return (DOMAINS.index(domain) if domain in DOMAINS else 5 + HELD_OUT.index(domain), index, kind)


def vector(prompt):
    """A domain is a direction, its prompts lie around it; a held-out one is far from all."""
    number, index, kind = prompt.tokens[:3]
    found = torch.zeros(WIDTH)
    found[number] = 5.0
    found[-1] = 0.1 * (index + 1) * (-1) ** kind
    return found


@dataclass
class KnownStrategies:
    """Replaces `DomainStrategies`: a set gains `home` on its own domain and `away` on others."""

    settings: object
    home: float = HOME
    away: float = AWAY
    everywhere: float = EVERYWHERE
    rig: object = field(default_factory=lambda: NO_RIG)

    def test_prompts(self, domains=DOMAINS, count=0):
        each = range(count or self.settings.prompts)
        return [Prompt(tokens(d, i), d, f"{d}/{i}") for d in domains for i in each]

    def calibration_prompts(self, domains=DOMAINS, count=0):
        each = range(count or self.settings.calibration)
        return [Prompt(tokens(d, i, 1), d) for d in domains for i in each]

    def vectors(self, prompts):
        return torch.stack([vector(prompt) for prompt in prompts])

    def calibrated(self, name, domains=DOMAINS, count=0, options=()):
        if name == "knn-ssd":
            return self.knn
        return SimpleNamespace(name=name, domains=domains, says=self.knn.says)

    def ungated(self, name):
        says = self.knn.asking(gate="0", margin="0").says
        return SimpleNamespace(name=name, domains=DOMAINS, says=says)

    @property
    def knn(self):
        known = self.calibration_prompts()
        strategy = KnnSsd()
        memory = memory_of(self.vectors(known), [p.domain for p in known], strategy.config)
        memory = replace(memory, reach=dict.fromkeys(DOMAINS, 0.01))
        return replace(strategy, found=DomainSets(memory, self.sets))

    @property
    def sets(self):
        return dict.fromkeys((MIXED, *DOMAINS))

    def set_prices(self, prompts):
        return [{name: self._priced(name, p.tokens[0]) for name in self.sets} for p in prompts]

    def rounds_price(self, label, strategy, prompt):
        domains = getattr(strategy, "domains", DOMAINS)
        name = prompt.domain if label[:2] == "kn" else MIXED
        return self._priced(domains[0] if len(domains) == 1 else name, prompt.tokens[0])

    def _priced(self, name, number):
        if name == MIXED:
            return Priced(self.everywhere, 1.0)
        belongs = name in HELD_OUT or DOMAINS.index(name) == number
        return Priced(self.home if belongs else self.away, 1.0)


@pytest.fixture
def result_of(monkeypatch, tmp_path):
    """Runs a module's study on known strategies."""

    def run(module, settings, **given):
        made = lambda settings, work: KnownStrategies(settings, **given)  # noqa: E731
        monkeypatch.setattr(domain_strategies, "DomainStrategies", made)
        return run_study(module.STUDY, settings, tmp_path / str(len(list(tmp_path.iterdir()))))

    return run


def test_only_a_fixed_set_loses_when_streams_change_domain(result_of):
    settings = mix_ratio.MixSettings(streams=4, length=40, prompts=2)
    found = result_of(mix_ratio, settings)
    rows = {(row["selector"], row["ratio"]): row for row in found["rows"]}
    assert rows["fixed", 0.0]["speed"] == pytest.approx(HOME)
    assert (rows["fixed", 0.0]["at_home"], rows["fixed", 0.0]["changes"]) == (1.0, 0.0)
    assert 0.15 < rows["fixed", 1.0]["at_home"] < 0.3
    assert rows["fixed", 1.0]["changes"] == pytest.approx(39 / 40)
    share = rows["fixed", 1.0]["at_home"]
    assert rows["fixed", 1.0]["speed"] == pytest.approx(share * HOME + (1 - share) * AWAY)
    assert found["speeds"]["mixed"] == pytest.approx([EVERYWHERE] * 4)
    assert found["speeds"]["knn-ssd"] == pytest.approx([HOME] * 4)
    assert found["loses"]["fixed"] > 0.2 > 0.01 > found["loses"]["knn-ssd"]
    assert "Fastest at r = 1 is knn-ssd, +25.0%" in found["answer"]
    assert result_of(mix_ratio, settings, home=1.01)["void"]


def test_the_gate_refuses_unknown_domains(result_of):
    found = result_of(out_of_domain, out_of_domain.OutOfDomainSettings(held_out=3, prompts=2))
    rows = {(row["selector"], row["domain"]): row for row in found["rows"]}
    for domain in HELD_OUT:
        assert rows["knn-ssd", domain]["refused"] == 1.0
        assert rows["knn-ssd ungated", domain]["refused"] == 0.0
        assert rows["knn-ssd ungated", domain]["nearest"] in DOMAINS
        assert rows["searched there", domain]["speed"] == pytest.approx(HOME)
        assert rows["mixed", domain]["refused"] is None
    assert found["refused"]["known"] == 0.0
    assert found["void"] == []
    assert "2.00x on known domains" in found["answer"]
    slow = {"home": 1.0, "away": 0.9, "everywhere": 1.0}
    void = result_of(out_of_domain, out_of_domain.OutOfDomainSettings(held_out=1), **slow)
    assert void["void"] == list(HELD_OUT)
    assert f"Results on {' and '.join(HELD_OUT)} are not conclusive" in void["answer"]


def test_as_many_clusters_as_domains_find_every_domain(result_of):
    settings = anchors.AnchorSettings(
        clusters=(2, 5), anchors=(1, 3), calibration=3, prompts=2, clustered=6, looked_up=3
    )
    found = result_of(anchors, settings)
    few, _, enough, _ = found["rows"]
    assert (few["named"], few["accuracy"]) == (2, pytest.approx(0.4))
    assert (enough["named"], enough["accuracy"]) == (5, 1.0)
    assert few["speed"] < enough["speed"] == pytest.approx(enough["own"]) == pytest.approx(HOME)
    assert found["enough"]["clusters"] == 5
    assert found["mixed"] == pytest.approx(EVERYWHERE)
    assert 0.0 < found["lookup_seconds"]["least"] <= found["lookup_seconds"]["most"] < 0.1


def spaces(result_of, monkeypatch, prompts_of):
    """`prompts_of` maps a domain and a number to the domain that this prompt is taken from."""

    def written(rig, style, count, split):
        known = rig.study_prompts(count, split=split)
        own = {domain: [p.tokens for p in known if p.domain == domain] for domain in DOMAINS}
        return [Prompt(own[prompts_of(d, i)][i], d) for d in DOMAINS for i in range(count)]

    monkeypatch.setattr(hidden_space, "written", written)
    settings = hidden_space.HiddenSettings(
        depths=(0.0, 1.0), poolings=("normed-mean", "last"), anchored=5, looked_up=3, prompts=1
    )
    return result_of(hidden_space, settings, rig=planted_rig())


def test_domains_with_different_words_are_distinguished(result_of, monkeypatch):
    found = spaces(result_of, monkeypatch, lambda domain, index: domain)
    assert set(found["by_depth"]) == {"0.0", "1.0"}
    words = [r for r in found["rows"] if (r["pooling"], r["depth"]) == ("normed-mean", 0.0)]
    assert all(row["accuracy"] == 1.0 and row["lead"] > 0.5 for row in words)
    assert all(row["speed"] == pytest.approx(row["own"]) for row in words)
    assert len(found["by_metric"]) == 4


def test_domains_with_the_same_words_are_not_distinguished(result_of, monkeypatch):
    found = spaces(result_of, monkeypatch, lambda domain, index: DOMAINS[index % len(DOMAINS)])
    words = [r for r in found["rows"] if (r["pooling"], r["depth"]) == ("normed-mean", 0.0)]
    assert all(row["accuracy"] < 0.5 for row in words)
    worst = min(found["rows"], key=lambda row: row["accuracy"])
    assert worst["speed"] < worst["own"]


def test_the_look_up_may_return_the_domain_of_the_second_task(result_of, monkeypatch):
    def two_tasks(tokenizer, form, first, second, index):
        return tokens({"joined": first, "in turn": second, "alone": second}[form], index)

    monkeypatch.setattr(domain_overlap, "two_tasks", two_tasks)
    found = result_of(domain_overlap, DomainSettings(prompts=2))
    assert len(found["rows"]) == 5 + 2 * 20
    assert found["says"]["joined"]["says_first"] == 1.0
    assert found["says"]["in turn"]["says_second"] == 1.0
    assert found["speeds"]["alone"]["second_set"] == pytest.approx(HOME)
    kept = found["keeps"]["joined"]
    assert kept["first_set"] == kept["selector"] == pytest.approx(1.0)
    assert kept["second_set"] == pytest.approx((AWAY - 1) / (HOME - 1))
    assert result_of(domain_overlap, DomainSettings(prompts=1), home=1.0)["void"]


def test_two_tasks_are_written_into_one_prompt():
    from specframe.testbed import load

    _, tokenizer = load()
    alone, joined, in_turn = (
        tokenizer.decode(domain_overlap.two_tasks(tokenizer, form, "story", "sql", 0))
        for form in ("alone", "joined", "in turn")
    )
    assert joined.count("<|user|>") == 1
    assert in_turn.count("<|user|>") == 2
    assert all(text.count("queries") + text.count("SQL") >= 1 for text in (alone, joined, in_turn))
    assert all("story" in text or "tale" in text for text in (joined, in_turn))
