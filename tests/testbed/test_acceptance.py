import torch

from specframe.executors.load import load_executor
from specframe.testbed.evaluation import pricing
from specframe.testbed.evaluation.acceptance import acceptance, prepare, search
from specframe.testbed.evaluation.pricing import Prices
from specframe.testbed.training.growth import grow, new_model
from specframe.testbed.training.recipe import TINY
from specframe.types import SkipSet, Step

_START = 9


def _executor():
    model = grow(TINY, new_model(TINY))
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return load_executor(model)


def _texts(executor, count: int = 2):
    generator = torch.Generator().manual_seed(8)
    rows = torch.randint(5, TINY.entries, (count, 30), generator=generator).tolist()
    return rows, [prepare(executor, row, _START) for row in rows]


def _really_drafted(executor, row: list[int], skips: SkipSet) -> float:
    """Agreement of drafts made one by one, each over a cache that the full model wrote."""
    agreed = 0
    places = range(_START - 1, len(row) - 1)
    for place in places:
        cache = executor.new_cache(len(row))
        tokens = torch.tensor([row])
        before = Step(tokens[:, :place], torch.arange(place), 0, 0)
        executor.walk(before, cache, rows=None)
        cache.commit(range(place))
        step = Step(tokens[:, place : place + 1], torch.tensor([place]), place, place)
        draft = executor.walk(step, cache, skips).logits
        target = executor.walk(step, cache).logits
        agreed += int(draft[0, 0].argmax() == target[0, 0].argmax())
    return agreed / len(places)


def test_one_pass_measures_what_drafting_each_token_would() -> None:
    executor = _executor()
    rows, texts = _texts(executor)
    for skipped in ((2, 5, 8), (0, 4, 6, 7, 10)):
        skips = SkipSet.from_sublayers(TINY.layers, skipped)
        real = sum(_really_drafted(executor, row, skips) for row in rows) / len(rows)
        assert abs(acceptance(executor, texts, skips) - real) < 0.02
        assert real < 1.0


def test_skipping_nothing_is_always_accepted() -> None:
    executor = _executor()
    _, texts = _texts(executor)
    assert acceptance(executor, texts, SkipSet.none(TINY.layers)) == 1.0


def test_the_search_nests_and_never_does_worse_than_its_first_step_allows() -> None:
    executor = _executor()
    _, texts = _texts(executor)
    found = search(executor, texts, (1, 3, 6))
    assert [len(found[count]) for count in (1, 3, 6)] == [1, 3, 6]
    assert set(found[1]) < set(found[3]) < set(found[6])
    singles = [SkipSet.from_sublayers(TINY.layers, [sublayer]) for sublayer in range(12)]
    best = max(acceptance(executor, texts, skips) for skips in singles)
    assert acceptance(executor, texts, found[1]) == best


def test_a_certain_draft_is_predicted_faster_than_a_hopeless_one(monkeypatch) -> None:
    def seconds(executor, cache, rows, skips):  # a sixth of the sublayers runs while drafting
        return (1.0 - len(skips) / 12) * (1.0 + 0.02 * rows) if len(skips) < 12 else 1.0

    monkeypatch.setattr(pricing, "measure", seconds)
    executor = _executor()
    prices = Prices(executor)
    skips = SkipSet.from_sublayers(TINY.layers, range(2, 12))
    assert prices.predicted_speedup(1.0, skips) > 2 * prices.predicted_speedup(0.05, skips)
