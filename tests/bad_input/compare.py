"""Bad command lines of `compare`, `bench` and `report`."""

BEFORE_LOADING = [
    (("compare", "--model", "tesbed", "--run", "new"), "Did you mean 'testbed'"),
    (("compare", "--strategies", "knapspek", "--run", "new"), "Did you mean 'knapspec'"),
    (("compare", "--strategies", "evil", "--run", "new"), "is installed here"),
    (("compare", "--strategies", "draft-model", "--run", "new"), "such as model=testbed-core"),
    (
        ("compare", "--strategies", "draft-model+model=tesbed", "--run", "new"),
        "Did you mean 'testbed'",
    ),
    (("compare", "--domains", "nope", "--run", "new"), "No domain named 'nope'"),
    (("compare", "--threads", "100000", "--run", "new"), "between 1 and"),
    (("compare", "--prompts", "empty.jsonl", "--run", "new"), "line 1 is empty"),
    (("compare", "--prompts", "mark.jsonl", "--run", "new"), "has no others"),
    (("compare", "--prompts", "some.jsonl", "--run", "new"), "Got 2; give more"),
<<<<<<< HEAD
    (("compare", "--run", "/proc/nope"), "not a folder that can be written to"),
=======
    (("compare", "--run", "/proc/nope"), "a folder that can be written"),
>>>>>>> never
    (("bench", "--grid", "mixed.toml", "--run", "new"), "of type int"),
    (("bench", "--grid", "nan.toml", "--run", "new"), "temperatures"),
    (("bench", "--grid", "cold.toml", "--run", "new"), "at least 1e-30, as logits are float32"),
    (("bench", "--grid", "inf.toml", "--run", "new"), "calibration_seconds"),
    (("bench", "--grid", "binary.toml", "--run", "new"), "not TOML"),
    (("bench", "--grid", "digits.toml", "--run", "new"), "not TOML"),
    (("bench", "--grid", "hex.toml", "--run", "new"), "per_domain"),
    (("bench", "--grid", "many.toml", "--run", "new"), "in [1, 1000]"),
    (("bench", "--grid", "near.toml", "--run", "new"), "Did you mean 'per_domain'"),
    (("bench", "--grid", "flat.toml", "--run", "new"), "must be a table"),
    (("bench", "--dtype", "int3", "--run", "new"), "dtype must be"),
    (("bench", "engine", "--threads", "100000"), "between 1 and"),
    (("bench", "engine", "--dtype", "int3"), "dtype must be"),
    (("report", "deep.json"), "nested too deeply"),
    (("report", "nan.json"), "NaN is no finite number"),
    (("report", "odd.json"), "cannot be drawn"),
    (("report", "odd.json", "--picture", "x.png"), "must end in .svg"),
    (("report", "odd.json", "--out", "no/such.html"), "cannot be written"),
    (("compare", "--strategies", "", "--run", "new"), "one or more names"),
]
BEFORE_PRICING = [
    (("bench", "--grid", "two.toml", "--model", ".", "--run", "new"), "3 different prompts"),
    (("bench", "--grid", "contexts.toml", "--run", "new"), "the 64 positions"),
    (("bench", "--grid", "tokens.toml", "--run", "new"), "the 64 positions"),
    (("compare", "--prompts", "long.jsonl", "--run", "new"), "'a/1' has 300 tokens"),
]
