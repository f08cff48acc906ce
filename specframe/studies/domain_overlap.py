"""Two tasks in one prompt.

Prompts of two domains are `joined` in one question, or given `in turn`: the first with its answer,
then the second; `alone` is one task. Rows hold the result of `knn-ssd`'s look-up, and the share of
the speed-up that each domain's set, the mixed set and the strategy keep (it uses the set that it
looks up, or the mixed one if its gate refuses): acceptance on the target's generations at kept
prices. The model was never trained on joined questions; the quality of its answers does not matter
here, since speculation only has to repeat them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from statistics import fmean
from typing import Any

from specframe.profilers.continuations import continue_prompts
from specframe.prompts.chat import conversation_tokens, plain_text
from specframe.prompts.everyday import everyday_conversations
from specframe.prompts.usual import TESTBED
from specframe.studies.framework.measurement import remembered
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds import domain_strategies as shared
from specframe.studies.worlds.texts import texts_of
from specframe.testbed.corpus import Conversation, Document, Exercise, document
from specframe.testbed.model.encoding import encode_prompt
from specframe.types import Prompt

__all__ = ["STUDY", "two_everyday_tasks", "two_tasks"]

ALONE, JOINED, IN_TURN = "alone", "joined", "in turn"
SETS = ("first_set", "second_set", "mixed", "selector", "best_set")
NAMED = {"selector": "knn-ssd"}  # in answers
SAYS = ("says_first", "says_second", "says_other", "refuses")


def run(settings: shared.DomainSettings, work: Work) -> Findings:
    """A row for each domain alone, and for each ordered pair in either form."""
    pairs = _TaskPairs(settings, work)
    domains = texts_of(settings.model).known
    cases = [(ALONE, domain, domain) for domain in domains]
    cases += [(form, *pair) for form in (JOINED, IN_TURN) for pair in permutations(domains, 2)]
    return _findings(pairs.rows("form first second", cases))


def two_tasks(tokenizer: Any, form: str, first: str, second: str, index: int) -> tuple[int, ...]:
    """A prompt of two test documents in the chat template."""
    tasks = [document(domain, "test", index) for domain in (first, second)]
    if form == ALONE:
        prompt = Conversation((), tasks[1])
    elif form == IN_TURN:
        prompt = Conversation((tasks[0],), tasks[1])
    else:
        both = "\n".join(task.exercise.prompt for task in tasks)
        prompt = Conversation((), Document(second, "test", index, Exercise(both, "", ())))
    return encode_prompt(tokenizer, prompt)


def two_everyday_tasks(
    tokenizer: Any, form: str, first: str, second: str, index: int, answer: str
) -> tuple[int, ...]:
    """The same with two everyday prompts; `answer` is the target's answer to the first."""
    tasks = [everyday_conversations(domain)[index] for domain in (first, second)]
    if form == ALONE:
        prompt = tasks[1]
    elif form == IN_TURN:
        prompt = [*tasks[0], {"role": "assistant", "content": answer}, *tasks[1]]
    else:
        prompt = [{"role": "user", "content": "\n\n".join(map(plain_text, tasks))}]
    if getattr(tokenizer, "chat_template", None):
        return tuple(conversation_tokens(tokenizer, prompt))
    return tuple(tokenizer(plain_text(prompt))["input_ids"])


def _findings(rows: Sequence[Row]) -> Findings:
    forms = {
        form: [row for row in rows if row["form"] == form] for form in (ALONE, JOINED, IN_TURN)
    }
    speeds = {form: {p: fmean(r[p] for r in own) for p in SETS} for form, own in forms.items()}
    says = {form: {s: fmean(r[s] for r in own) for s in SAYS} for form, own in forms.items()}
    home = speeds[ALONE]["second_set"]
    void = not shared.pays(home)
    keeps = {
        form: {p: None if void else (speeds[form][p] - 1.0) / (home - 1.0) for p in SETS}
        for form in (JOINED, IN_TURN)
    }
    figures = {"void": void, "speeds": speeds, "says": says, "keeps": keeps}
    if void:
        return Findings(
            figures,
            f"Not conclusive: on a task alone, the set of its domain gains only {home:.2f}x. "
            f"{' '.join(_named(form, says[form]) for form in keeps)}",
        )
    return Findings(figures, " ".join(_kept(form, says[form], keeps[form]) for form in keeps))


def _kept(form: str, says: dict[str, float], keeps: dict[str, float | None]) -> str:
    kept = ", ".join(
        f"{NAMED.get(name, name.replace('_', ' '))} {share:.0%}"
        for name, share in keeps.items()
        if share is not None
    )
    said = _named(form, says)
    return f"{said} The gain, as a share of that of a domain's set on its task alone: {kept}."


def _named(form: str, says: dict[str, float]) -> str:
    return (
        f"For tasks {form}, the look-up chooses the first task's domain for "
        f"{says['says_first']:.0%} of the prompts, the second's for {says['says_second']:.0%}, "
        f"another for {says['says_other']:.0%}, and none for {says['refuses']:.0%}."
    )


class _TaskPairs(shared.DomainMeasurement[shared.DomainSettings]):
    def row(self, form: str, first: str, second: str) -> Row:
        strategies = self._strategies
        self._work.tell(f"{first} and {second}, {form}" if form != ALONE else f"{first}, {form}")
        prompts = [
            Prompt(self._tokens(form, first, second, index))
            for index in range(self._settings.prompts)
        ]
        matches = [strategies.knn.says(vector) for vector in strategies.vectors(prompts)]
        prices = strategies.set_prices(prompts)
        by_set = {name: shared.speedup(one[name] for one in prices) for name in strategies.sets}
        chosen = [match.label if match.known else shared.MIXED for match in matches]
        return {
            **_said(matches, first, second),
            "first_set": by_set[first],
            "second_set": by_set[second],
            "mixed": by_set[shared.MIXED],
            "selector": shared.speedup(one[name] for one, name in zip(prices, chosen, strict=True)),
            "best_set": max(by_set.values()),
        }

    def _tokens(self, form: str, first: str, second: str, index: int) -> tuple[int, ...]:
        tokenizer = self._strategies.rig.tokenizer
        if self._settings.model == TESTBED:
            return two_tasks(tokenizer, form, first, second, index)
        answer = self._answer(first, index) if form == IN_TURN else ""
        return two_everyday_tasks(tokenizer, form, first, second, index, answer)

    @remembered
    def _answer(self, domain: str, index: int) -> str:
        """The target's generation for a task alone, cut at `new_tokens`."""
        rig = self._strategies.rig
        prompt = two_everyday_tasks(rig.tokenizer, ALONE, domain, domain, index, "")
        (text,) = continue_prompts(rig.executor, [prompt], self._settings.new_tokens, ends=rig.ends)
        answer: str = rig.tokenizer.decode(text.tokens[len(prompt) :], skip_special_tokens=True)
        return answer


def _said(matches: Sequence[Any], first: str, second: str) -> Row:
    """Shares of the prompts by the look-up's result; for ALONE, both domains are the same."""
    known = [match.label for match in matches if match.known]
    firsts, seconds = known.count(first), known.count(second) if first != second else 0
    found = (firsts, seconds, len(known) - firsts - seconds, len(matches) - len(known))
    return {name: count / len(matches) for name, count in zip(SAYS, found, strict=True)}


STUDY = Study(
    "domain-overlap",
    "Two tasks in one prompt",
    "What does the look-up return for two tasks in one prompt, and how much of the speed-up "
    "remains?",
    shared.DomainSettings(),
    shared.DomainSettings(**{**shared.QUICK, "prompts": 1}),
    run,
    Bars("selector", ("form", "first", "second")),
    real={**shared.REAL, "prompts": 1},
    minutes=3,
)
