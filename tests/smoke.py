"""A first use of an installed specframe, in an environment that has nothing else.

Run away from a checkout. With `--from FOLDER` it also holds what is imported to that folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.resources import files
from pathlib import Path

SKIPS = range(6, 14)
DATA = (
    ("specframe.testbed", "weights/model.safetensors"),
    ("specframe.bench", "templates/report.html"),
    ("specframe.bench", "templates/report.css"),
    ("specframe.studies", "profiles"),
)


def installed(home: Path | None) -> None:
    import specframe

    assert specframe.__version__ == metadata.version("specframe")
    where = Path(specframe.__file__).resolve()
    assert home is None or home.resolve() in where.parents, where
    names = {entry.name for entry in metadata.entry_points(group="specframe.strategies")}
    assert {"fixed", "knapspec", "knn-ssd", "prompt-lookup"} <= names, names
    assert specframe.strategy_names() == sorted(names)
    for package, path in DATA:
        assert (files(package) / path).is_file() or any((files(package) / path).iterdir()), path


def generates() -> None:
    from specframe import SelfSpeculator, SkipSet, StopRule, load
    from specframe.strategies.fixed import FixedSkips
    from specframe.testbed import suite

    model, tokenizer = load("testbed")
    prompt = suite("sql", 1)[0].tokens(tokenizer)
    skips = SkipSet.of(24, attention=SKIPS, mlp=SKIPS)
    answers = [
        SelfSpeculator(model, strategy, tokenizer=tokenizer).generate(prompt, max_new_tokens=24)
        for strategy in ("autoregressive", FixedSkips(skips, StopRule(4)), "prompt-lookup")
    ]
    assert all((answer.sequences == answers[0].sequences).all() for answer in answers)
    assert answers[1].stats.drafted > 0


def calibrates() -> None:
    from dataclasses import replace

    from specframe import CostModel, Rig, SelfSpeculator
    from specframe.strategies import KnnSsd
    from specframe.testbed import suite

    texts = [(p.text, d) for d in ("sql", "story") for p in suite(d, 3, split="validation")]
    config = replace(KnnSsd.presets["best"], seconds=1.0, domain_evaluations=4, evaluations=4)
    rig = Rig.load("testbed", costs=CostModel.even(24))
    knn = KnnSsd(config).calibrate(rig.lab(new_tokens=8), rig.prompts(texts))
    with tempfile.TemporaryDirectory() as folder:
        knn.save(folder)
        loaded = KnnSsd.load(folder)
    assert loaded.skip_sets() == knn.skip_sets() != {}
    speculator = SelfSpeculator(rig.model, loaded, tokenizer=rig.tokenizer, costs=rig.costs)
    speculator.generate(texts[0][0], max_new_tokens=8)


def commands() -> None:
    specframe = Path(sys.executable).with_name("specframe")
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "ls.json"
        subprocess.run([specframe, "ls", "--json", figures], check=True, stdout=subprocess.DEVNULL)
        assert json.loads(figures.read_text(encoding="utf-8"))
    for words in (["--version"], ["doctor", "testbed"], ["study", "--list"]):
        subprocess.run([specframe, *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="home", type=Path, help="where specframe must come from")
    installed(parser.parse_args().home)
    generates()
    calibrates()
    commands()


if __name__ == "__main__":
    main()
