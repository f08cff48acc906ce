"""What arguments of generation must do, given to `generate` here or to the library's own."""

from math import fsum
from typing import Any

import torch
from transformers import StoppingCriteriaList

from doubles.laws import SAMPLINGS, Case, models_law
from doubles.must_hold import CHAIN, EXACT, Wrong
from doubles.tiny import Tiny, tiny_model
from specframe import SelfSpeculator, custom_generate
from specframe.core.sampling import Law, seeded_choice
from specframe.doors import arguments
from specframe.errors import InvalidRequest
from specframe.testing import exact_law

PROMPT = [1, 1, 1, 1]
TEXT = [3, 8, 3, 5, 5, 9, 3, 8]
NEW_TOKENS = 12
CPU = torch.device("cpu")


def by_library(model, prompt: list[int], **given: Any) -> list[int]:
    """New tokens from the library's `generate`."""
    ids = torch.tensor([prompt])
    mask = torch.ones_like(ids)
    settings = {"do_sample": False, "max_new_tokens": NEW_TOKENS, **given}
    return model.generate(ids, attention_mask=mask, **settings)[0, len(prompt) :].tolist()


def by_door(model, prompt: list[int], **given: Any) -> list[int]:
    """The same, this package's method given to it."""
    return by_library(model, prompt, custom_generate=custom_generate(CHAIN), **given)


def by_speculator(model, prompt: list[int], **given: Any) -> list[int]:
    settings = {"do_sample": False, "max_new_tokens": NEW_TOKENS, **given}
    output = SelfSpeculator(model, CHAIN).generate(prompt, **settings)
    return output.sequences[0, len(prompt) :].tolist()


def law_through(run) -> None:
    """A temperature and a penalty, three tokens, every branch walked through the way in."""
    case = Case(CHAIN, SAMPLINGS["several"])
    model = tiny_model(case.tiny)
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": case.new_tokens}
    settings |= case.sampling.arguments
    lawful = arguments.seeded_choice

    def chosen(choose):
        arguments.seeded_choice = lambda generator: choose
        return tuple(run(model, PROMPT, **settings))

    try:
        found, wanted = exact_law(chosen), models_law(case)
    finally:
        arguments.seeded_choice = lawful
    error = max(abs(found.get(key, 0.0) - wanted.get(key, 0.0)) for key in {*found, *wanted})
    if error > EXACT:
        raise Wrong(f"the emitted law is off by {error:.2g}")


def law_through_the_library() -> None:
    law_through(by_door)


def law_through_the_speculator() -> None:
    law_through(by_speculator)


def stops(run) -> None:
    """The user's criterion after three tokens, a time limit at once, an end token, the budget."""
    model = tiny_model(Tiny())
    whole = by_library(model, TEXT)
    end = next(i for i, token in enumerate(whole) if i > 1 and token not in whole[:i])
    after_three = lambda ids, scores, **_: torch.tensor([ids.shape[1] >= len(TEXT) + 3])  # noqa: E731
    wanted = {
        "budget": ({}, whole),
        "criterion": ({"stopping_criteria": StoppingCriteriaList([after_three])}, whole[:3]),
        "time": ({"max_time": 1e-9}, whole[:1]),
        "end token": ({"eos_token_id": whole[end]}, whole[: end + 1]),
    }
    for name, (given, tokens) in wanted.items():
        if run(model, TEXT, **given) != tokens:
            raise Wrong(f"{name}: not what was asked for")


def stops_through_the_library() -> None:
    stops(by_door)


def stops_through_the_speculator() -> None:
    stops(by_speculator)


PROCESSED = (
    {"encoder_repetition_penalty": 1.9},
    {"encoder_no_repeat_ngram_size": 2},
    {"min_new_tokens": 6, "eos_token_id": list(range(0, 23, 2))},
    {"no_repeat_ngram_size": 2, "bad_words_ids": [[7], [3, 8]]},
)


def processors_of_the_library() -> None:
    """Greedy tokens under processors that look at the prompt, at counts or at phrases."""
    model = tiny_model(Tiny(sharpness=1.0, seed=1))
    plain = by_library(model, TEXT)
    for given in PROCESSED:
        wanted = by_library(model, TEXT, **given)
        assert wanted != plain, given
        for run in (by_door, by_speculator):
            if run(model, TEXT, **given) != wanted:
                raise Wrong(f"{given}: the tokens are not the library's")


UNSUPPORTED = (
    {"num_beams": 2},
    {"num_return_sequences": 2, "do_sample": True},
    {"guidance_scale": 1.5},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": "high"},
)


def other_searches_are_refused() -> None:
    model = tiny_model(Tiny())
    for given in UNSUPPORTED:
        try:
            by_speculator(model, TEXT, **given)
        except InvalidRequest:
            continue
        raise Wrong(f"{given} was accepted")


def processors_run_in_float32() -> None:
    """Logits in half precision, processed and divided in full."""
    seen: list[torch.dtype] = []

    def watching(tokens, scores):
        seen.append(scores.dtype)
        return scores / 1.3

    logits = torch.linspace(-3, 3, 40).to(torch.bfloat16)[None]
    found = Law((watching,)).probabilities(logits, [1], [[]])
    wanted = (logits.float() / 1.3).softmax(-1)
    if seen != [torch.float32] or not torch.equal(found, wanted):
        raise Wrong("processors ran in the logits' own dtype")


def draws_follow_the_distribution() -> None:
    """One uniform number of the given generator falls into the share of the token drawn."""
    generator = torch.Generator().manual_seed(0)
    laws = torch.rand(3000, 50, generator=generator).pow(4)
    laws[:, 10:20] = 0.0
    given, own = (torch.Generator().manual_seed(7) for _ in range(2))
    choose = seeded_choice(given)
    for law in laws:
        number = float(torch.rand(1, dtype=torch.float64, generator=own)) * fsum(law.tolist())
        drawn = choose(law)
        below, above = fsum(law[:drawn].tolist()), fsum(law[: drawn + 1].tolist())
        if not below - 1e-12 <= number <= above + 1e-12 or not law[drawn] > 0.0:
            raise Wrong("tokens are drawn from another distribution")


def seeds_decide() -> None:
    model = tiny_model(Tiny(sharpness=0.5))
    drawn = []
    for state in (1, 2):
        torch.manual_seed(state)
        drawn.append(by_speculator(model, TEXT, do_sample=True, seed=3))
    if drawn[0] != drawn[1]:
        raise Wrong("the seed given is not the one that decides")


HOLDS_AT_THE_DOORS = (
    law_through_the_library,
    law_through_the_speculator,
    stops_through_the_library,
    stops_through_the_speculator,
    processors_of_the_library,
    other_searches_are_refused,
    processors_run_in_float32,
    draws_follow_the_distribution,
    seeds_decide,
)
