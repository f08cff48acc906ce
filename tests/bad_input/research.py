"""Bad command lines of `testbed` and `study`."""

BEFORE_LOADING = [
    (("testbed", "train", "--out", "/proc/nope", "--size", "tiny"), "not a folder that can be"),
    (("testbed", "train", "--out", "new", "--threads", "100000"), "between 1 and"),
    (("testbed", "train", "--out", "new", "--tokens", "9" * 30), "tokens"),
    (("testbed", "info", "--model", "x" * 5000), "No model at"),
    (("testbed", "eval", "--prompts", "99999999"), "prompts"),
    (("testbed", "sample", "--domain", "sql", "--count", "99999999"), "count"),
    (("study", "scale", "--out", "mark.jsonl"), "not a folder that can be written to"),
    (("study", "scale", "--plot", "p.unknown", "--out", "new"), "must end in .png"),
    (("study", "scale", "--threads", "100000", "--out", "new"), "between 1 and"),
    (("study", "scale", "--device", "tpu", "--out", "new"), "cpu or cuda"),
    (("study", "tree", "--set", "model=tesbed", "--out", "new"), "Did you mean 'testbed'"),
    (("study", "tree", "--set", "seconds=nan", "--out", "new"), "no parameter 'seconds'"),
    (("study", "tree", "--set", "evaluations=nan", "--out", "new"), "a whole number"),
    (("study", "all", "--dtype", "int3", "--out", "new"), "dtype must be"),
    (("testbed", "train", "--out", "new", "--device", "tpu"), "cpu or cuda"),
    (("testbed", "train", "--out", "new", "--dtype", "float16"), "leave both out"),
]
BEFORE_PRICING = []
