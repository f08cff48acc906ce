"""Bad command lines of `doctor`, `profile` and `predict`."""

from bad_input.files import DIGITS, SHORT

BEFORE_LOADING = [
    (("profile", "--contexts", "a,b"), "'contexts' parameter of profile"),
    (("profile", "--contexts", "0,8"), "'contexts' parameter of profile"),
    (("profile", "--rows", "4,-1"), "'rows' parameter of profile"),
    (("profile", "--device", "tpu"), "cpu or cuda"),
    (("profile", "--json", "no/such/p.json"), "cannot be written"),
    (("profile", "--plot", "no/such/p.png"), "cannot be written"),
    (("predict", "--contexts", "0"), "'contexts' parameter of predict"),
    (("predict", "--device", "tpu", "--prompts", "random"), "cpu or cuda"),
    (("predict", "--strategy", "knapspek", "--prompts", "random"), "no strategy named"),
    (("predict", "--selector", "knapspek", "--prompts", "random"), "no strategy named"),
    (("predict", "--selector", "fixed", "--strategy", "swift"), "Keep --strategy."),
    (("predict", "--prompts", "missing.txt"), "cannot be read"),
    (("predict", "--contexts", DIGITS), "contexts"),
    (("predict", "--threads", "100000"), "between 1 and"),
    (("predict", "--count", "9999999999"), "count"),
    (("predict", "--strategy", "evil"), "is installed here"),
    (("predict", "--strategy", "draft-model"), "such as model=testbed-core. Got ''"),
    (("predict", "--prompts", "binary.jsonl"), "not UTF-8"),
    (("profile", "--rows", "100000"), "from 1 to 64"),
    (("profile", "--rows", ",".join(map(str, range(1, 50)))), "up to 32 whole numbers"),
    (("profile", "--budget", "inf"), "budget"),
    (("profile", "--budget", "nan"), "budget"),
    (("profile", "--plot", "p.unknown"), "must end in .png"),
    (("profile", "--out", "/proc/nope"), "not a folder that can be written to"),
    (("doctor", "tesbed"), "Did you mean 'testbed'"),
    (("doctor", "testbed", "--threads", "100000"), "between 1 and"),
]
BEFORE_PRICING = [
    (("predict", "--contexts", "99999", "--prompts", "random"), "the 64 positions"),
    (("predict", "--new-tokens", "9999999", "--prompts", "random"), "the 64 positions"),
    (("predict", "--prompts", "random"), "A context has 256 tokens"),
    (("predict", "--check", "--prompts", "random"), "A context has 128 tokens"),
    (("predict", "--strategy", "knn-ssd", *SHORT), "not calibrated yet"),
    (("predict", "--prompts", "mark.jsonl", *SHORT[2:]), "has 1 prompts, and 2 are needed"),
    (("profile", "--contexts", "99999999"), "at most 32"),
    (("profile", "--contexts", "32,64"), "at most 32"),
]
