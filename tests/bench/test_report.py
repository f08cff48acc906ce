"""The report: drawings, sentences, and missing data."""

import copy
import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from doubles.expected_marks import expected_marks
from doubles.made_results import DOMAINS, PACES, made_results, small_results, summed_up
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from specframe.bench.report import Comparison, figures, page, read_run, verdict, write_page
from specframe.bench.report.picture import speedup_picture
from specframe.bench.report.scales import Scale, span, ticks
from specframe.bench.report.skip_map import shares_of
from specframe.bench.report.speedups import speedups
from specframe.bench.report.verdict import choices
from specframe.bench.schema import SUMMARY
from specframe.bench.summary import summarise
from specframe.commands.cli import app
from specframe.errors import ArtefactError, InvalidRequest
from specframe.testbed.disclosure import DISCLOSURE, EXIT_NOTE

CSS = Path(__file__).parents[2] / "specframe/bench/templates/report.css"
LEGIBLE = 4.5  # contrast that WCAG requires for text


class Elements(HTMLParser):
    """Every element of a page as (name, attributes)."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.found if attribute in attributes]

    def marks(self, figure: str) -> list[dict[str, str | None]]:
        return [found for _, found in self.found if found.get("data-mark") == figure]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return made_results(per_domain=2, repeats=1)


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return small_results()


def test_every_figure_has_a_mark_per_entry(made):
    elements = Elements(page([Comparison(made)]))
    assert Counter(elements.values("data-mark")) == expected_marks(made)
    stated = {figure.name: figure.marks for figure in figures(Comparison(made))}
    assert stated == expected_marks(made)


def test_bars_carry_the_figures_of_the_summary(made):
    for mark in Elements(page([Comparison(made)])).marks("speedups"):
        key = f"speedup_vs_{mark['data-against']}"
        wanted = ("selector", "preset", "domain")
        entries = [
            entry
            for entry in made["summary"]
            if all(entry[name] == mark[f"data-{name}"] for name in wanted)
        ]
        drawn = float(mark["data-value"] or "nan")
        assert any(entry[key] == pytest.approx(drawn, abs=1e-4) for entry in entries)


def test_every_panel_of_bars_has_a_line_at_1(small):
    paces = {key: pace * (9.0 if key[0] == "knn-ssd" else 1.0) for key, pace in PACES.items()}
    for results in (small, made_results(contexts=(0,), per_domain=1, repeats=1, paces=paces)):
        drawn = speedups(Comparison(results)).html("")
        assert drawn.count('class="one"') == drawn.count("<h4>")


@pytest.mark.parametrize(("transformers", "are_cut"), [(0.5, False), (0.05, True)])
def test_only_bars_that_are_far_too_long_are_cut(transformers, are_cut):
    paces = {("autoregressive", "best"): 1.0, ("knn-ssd", "best"): 1.5}
    paces[("transformers", "")] = transformers
    comparison = Comparison(made_results((0,), per_domain=2, repeats=2, paces=paces))
    drawn = speedups(comparison).html("")
    widths = re.findall(r'width="([\d.]+)%" rx="1.5" class="bar strategy"', drawn)
    assert ("→" in drawn) == are_cut
    assert max(map(float, widths)) > 40
    assert all(float(x) <= 100 for x in re.findall(r'="([\d.]+)%"', drawn))


def test_cells_carry_the_share_of_drafting_rounds(small):
    marks = Elements(page([Comparison(small)])).marks("skips")
    for row in small["rows"]:
        for sublayer, rounds in row["skips"].items():
            (share,) = [
                float(mark["data-value"] or "nan")
                for mark in marks
                if (mark["data-selector"], mark["data-preset"]) == (row["selector"], row["preset"])
                and (mark["data-domain"], mark["data-sublayer"]) == (row["domain"], sublayer)
            ]
            assert share == pytest.approx(rounds / row["rounds"], abs=1e-4)


def test_skip_shares_are_pooled_over_drafting_rounds_only():
    rows = [
        {"rounds": 10, "drafting_share": 0.5, "skips": {"1": 5, "2": 1}},
        {"rounds": 5, "drafting_share": 1.0, "skips": {"1": 5}},
        {"rounds": 90, "drafting_share": 0.0, "skips": {}},
        {"rounds": None, "drafting_share": None, "skips": {}},
    ]
    assert [skipped for skipped, _ in shares_of(rows, 4)] == pytest.approx([0.0, 1.0, 0.1, 0.0])
    assert shares_of(rows[2:], 4) is None


def test_a_run_that_only_lowers_sublayers_is_drawn_with_what_it_lowered(small):
    low = copy.deepcopy(small)
    for row in low["rows"]:
        if row["skips"]:
            row["skips"], row["low"] = {}, {"2": row["rounds"], "5": row["rounds"] / 2}
            row["low_bits"], row["low_bit_bytes"] = 4, 28 * 2**20
    low |= {"summary": summed_up(low["rows"])}
    marks = Elements(page([Comparison(low)])).marks("skips")
    found = {(mark["data-sublayer"], mark["data-low"]) for mark in marks}
    assert {("2", "1"), ("5", "0.5"), ("3", "0")} <= found
    assert {mark["data-value"] for mark in marks} == {"0"}
    assert "with 4-bit drafting: it decodes" in verdict(Comparison(low)).sentence
    assert "for 28 MiB more memory." in verdict(Comparison(low)).sentence
    low["model"]["weight_bytes"] = 100 * 2**20
    assert "for 28\N{NO-BREAK SPACE}% more memory than" in verdict(Comparison(low)).sentence
    assert {choice.low_bits for choice in choices(Comparison(low)) if choice.winner} == {4}


@pytest.mark.parametrize("key", ["vectors", "studies", "calibration", "prompts", "exactness"])
def test_a_page_is_drawn_without_optional_keys(small, key):
    for without in ({k: v for k, v in small.items() if k != key}, small | {key: None}):
        assert "<h1>" in page([Comparison(without)])


def test_the_time_to_the_first_token_is_shown_if_known(small):
    key = "first_token_seconds"
    old = [{k: v for k, v in entry.items() if k != key} for entry in small["summary"]]
    new = [entry | {key: 0.4321} for entry in old]
    for entries, told in ((old, 0), (new, len(new))):
        content = page([Comparison(small | {"summary": entries})])
        assert content.count("<td>432</td>") == told


def test_a_figure_without_data_says_why(small):
    bare = copy.deepcopy(small)
    for row in bare["rows"]:
        row["predicted_seconds"] = row["selection_seconds"] = None
        row["skips"] = {}
    bare |= {"vectors": [], "studies": {}, "summary": summed_up(bare["rows"])}
    missing = {figure.name: figure.missing for figure in figures(Comparison(bare))}
    assert not missing.pop("speedups")
    assert not missing.pop("summary")
    content = page([Comparison(bare)])
    for name, why in missing.items():
        assert why.endswith("."), name
        assert why.split("`")[0] in content


def test_a_run_without_answers_is_a_page_that_says_so(small):
    empty = Comparison(small | {"rows": [], "summary": [], "vectors": [], "studies": {}})
    assert "nothing can be said" in verdict(empty).sentence
    assert all(figure.missing for figure in figures(empty))
    assert "nothing can be said" in page([empty])


def test_what_is_inconclusive_is_marked():
    loose = Comparison(made_results((0,), per_domain=1, repeats=1, noise=0.2))
    lines = Elements(page([loose])).marks("summary")
    keys = ("selector", "preset", "domain")
    told = {tuple(line[f"data-{key}"] for key in keys): line["data-inconclusive"] for line in lines}
    assert told == {
        tuple(entry[key] for key in keys): str(entry["inconclusive"]).lower()
        for entry in loose.summary
    }
    assert "true" in {line["data-inconclusive"] for line in lines}
    assert "has one prompt" in verdict(loose).sentence


def test_a_page_says_what_intervals_leave_out_and_how_long_calibrations_took():
    results = {**made_results((0,)), "calibration_budget": "calibrating 2 strategies takes 40 s"}
    shown = page([Comparison(results)])
    assert "do not include the variation between calibrations" in shown
    assert "Calibrating 2 strategies takes 40 s." in shown


def test_names_in_results_are_escaped(small):
    nasty = '"><script>alert(1)</script>'
    written = json.dumps(small).replace("knap-knn", "NASTY").replace('"story"', '"NASTY"')
    hurt = json.loads(written.replace("NASTY", json.dumps(nasty)[1:-1]))
    hurt["config"]["model"] = hurt["run"] = hurt["exactness"] = nasty
    names = {name for name, _ in Elements(page([Comparison(hurt)])).found}
    assert "script" not in names


def test_the_page_loads_no_other_resource(made):
    content = page([Comparison(made)])
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<script|<img|<iframe", content)


def test_every_drawing_has_a_text_alternative(made):
    content = page([Comparison(made)])
    described = re.findall(r'<svg[^>]*role="img"[^>]*><title>([^<]+)</title><desc>([^<]+)', content)
    decorative = content.count('aria-hidden="true"><')
    assert len(described) == content.count('role="img"')
    assert content.count("<svg") <= len(described) + decorative


def test_every_metric_is_defined_on_the_page(small):
    content = page([Comparison(small)])
    told = {key for key in SUMMARY if not key.endswith(("_low", "_high"))}
    told -= {"selector", "preset", "domain", "context", "temperature"}
    assert {key for key in told if f"<code>{key}</code>" not in content} == set()


def test_several_runs_on_a_page_have_different_ids(small):
    other = small | {"run": "another"}
    elements = Elements(page([Comparison(small), Comparison(other)]))
    ids = elements.values("id")
    assert len(ids) == len(set(ids))
    targets = [href for href in elements.values("href") if href]
    assert {"#run-0", "#run-1"} <= set(targets)
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    twice = {name: 2 * count for name, count in expected_marks(small).items()}
    assert Counter(elements.values("data-mark")) == twice


def test_prompts_without_a_domain_are_drawn(small):
    rows = [row | {"domain": ""} for row in small["rows"] if row["domain"] == DOMAINS[0]]
    bare = {"model": {"layers": 12}, "rows": rows, "summary": summed_up(rows)}
    assert Counter(Elements(page([Comparison(bare)])).values("data-mark")) == expected_marks(bare)
    assert "It is faster on unlabelled prompts" in verdict(Comparison(bare)).sentence


def luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_letters_are_legible_in_light_and_dark(scheme):
    blocks = re.findall(r":root \{([^}]*)\}", CSS.read_text(encoding="utf-8"))
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    pairs = [
        (ink, paper) for ink in ("ink", "soft", "accent", "warm") for paper in ("paper", "card")
    ]
    pairs += [(f"on-{part}", part) for part in ("selection", "draft", "verify", "other")]
    assert {pair for pair in pairs if contrast(*(colours[c] for c in pair)) < LEGIBLE} == set()
    shapes = [(f"s{number}", "card") for number in range(8)]  # WCAG requires 3 for graphics
    assert {pair for pair in shapes if contrast(*(colours[c] for c in pair)) < 3.0} == set()


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_few_and_inside(low, width):
    high = low + width
    found = ticks(low, high)
    if high - low < 1e-9 * max(abs(low), 1.0):
        return  # narrower than floats can label
    assert len(found) <= 7
    assert all(low - 1e-6 * width <= tick <= high + 1e-6 * width for tick in found)


def test_a_scale_maps_ends_to_ends_and_a_span_is_never_empty():
    scale = Scale(1.0, 3.0, 10.0, 30.0)
    assert (scale(1.0), scale(2.0), scale(3.0)) == (10.0, 20.0, 30.0)
    low, high = span([2.0, 2.0])
    assert low < 2.0 < high


def run_folder(tmp_path: Path, results: dict[str, Any]) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_the_command_writes_the_page_and_the_figures(small, tmp_path):
    folder = run_folder(tmp_path, small)
    figures_file = tmp_path / "figures.json"
    done = CliRunner().invoke(app, ["report", str(folder), "--json", str(figures_file)])
    assert done.exit_code == 0, done.output
    assert (folder / "report.html").read_text(encoding="utf-8") == page([read_run(folder)])
    (told,) = json.loads(figures_file.read_text(encoding="utf-8"))["runs"]
    assert told["marks"] | expected_marks(small) == told["marks"]
    assert told["verdict"] in done.output
    assert told["pays"] is True


def test_the_picture_is_self_contained_with_a_bar_per_contender(small, tmp_path):
    folder, picture = run_folder(tmp_path, small), tmp_path / "speedups.svg"
    done = CliRunner().invoke(app, ["report", str(folder), "--picture", str(picture)])
    assert done.exit_code == 0, done.output
    drawn = picture.read_text(encoding="utf-8")
    means = [e for e in small["summary"] if e["domain"] == "mean" and e["context"] == 0]
    assert len(Elements(drawn).marks("speedup")) == len(means)
    assert drawn.startswith("<svg")
    assert ("http" in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")) is False


def test_strategies_that_the_testbeds_training_helps_are_marked(small):
    rows = [
        row | {"selector": "layerskip"} for row in small["rows"] if row["selector"] == "knap-knn"
    ]
    whole = small | {"summary": summarise([*small["rows"], *rows])}
    marked = unescape(page([Comparison(whole)]))
    assert "layerskip †" in marked
    assert "knn-ssd †" not in marked
    assert EXIT_NOTE in marked
    other = unescape(page([Comparison(whole | {"config": {"model": "smollm2"}, "studies": {}})]))
    assert "†" not in other


def test_a_real_model_is_shown_with_the_testbed(small):
    real = small | {"config": {"model": "smollm2"}, "studies": {}}
    both = Comparison(small | {"real_model": real})
    drawn = speedup_picture(both)
    assert len(Elements(drawn).marks("speedup")) == 2 * len(
        Elements(speedup_picture(Comparison(small))).marks("speedup")
    )
    assert "on testbed (trained to be skippable)" in drawn
    assert "on smollm2 (not trained for it)" in drawn
    whole = page([both])
    assert whole.count("<article") == 2
    assert whole.count('class="disclosure"') == 1
    assert DISCLOSURE in unescape(whole)
    assert 'class="disclosure"' not in page([Comparison(real)])


def test_a_run_of_studies_alone_has_no_picture(small):
    studies = Comparison({"run": "r", "studies": {"tree": {"answer": "Little."}}})
    for bare in (studies, Comparison(small | {"rows": [], "summary": []})):
        with pytest.raises(InvalidRequest, match="measured nothing"):
            speedup_picture(bare)


def test_a_run_is_named_by_folder_or_file_and_the_page_path_can_be_given(small, tmp_path):
    folder, out = run_folder(tmp_path, small), tmp_path / "page.html"
    arguments = ["report", str(folder / "results.json"), str(folder), "--out", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert out.read_text(encoding="utf-8").count("<article") == 2


def test_unreadable_results_are_refused_with_the_remedy(small, tmp_path):
    with pytest.raises(InvalidRequest, match="No results at"):
        read_run(tmp_path / "nowhere")
    folder = run_folder(tmp_path, small)
    file = folder / "results.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ArtefactError, match="not JSON"):
        read_run(folder)
    file.write_text('{"schema_version": 1}', encoding="utf-8")
    with pytest.raises(ArtefactError, match="no comparison"):
        read_run(folder)
    file.write_text(json.dumps(small | {"schema_version": 99}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="schema_version 99"):
        read_run(folder)
    file.rename(folder / "rows.jsonl")
    with pytest.raises(InvalidRequest, match=r"not finished.*--resume"):
        read_run(folder)


def test_a_page_that_cannot_be_written_leaves_nothing_behind(small, tmp_path):
    with pytest.raises(ArtefactError, match="cannot be written"):
        write_page(tmp_path / "no" / "page.html", [Comparison(small)])
    (tmp_path / "taken").mkdir()
    with pytest.raises(ArtefactError, match="cannot be written"):
        write_page(tmp_path / "taken", [Comparison(small)])
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
