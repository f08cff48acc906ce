"""Bad command lines of `calibrate`."""

from bad_input.files import CALIBRATE

BEFORE_LOADING = [
    ((*CALIBRATE, "--set", "seconds=nan"), "finite number"),
    ((*CALIBRATE, "--prompts", "empty.jsonl"), "line 1 is empty"),
    ((*CALIBRATE, "--prompts", "null.jsonl"), "'domain' in line 1"),
    ((*CALIBRATE, "--prompts", "nan.jsonl"), "line 1: not JSON"),
    ((*CALIBRATE, "--prompts", "half.jsonl"), "not Unicode"),
    ((*CALIBRATE, "--per-domain", "99999999999"), "per-domain"),
    ((*CALIBRATE, "--prompts", "deep.jsonl"), "nested too deeply"),
    ((*CALIBRATE, "--prompts", "binary.jsonl"), "not UTF-8"),
    ((*CALIBRATE, "--prompts", "no\nsuch"), "cannot be read"),
    ((*CALIBRATE, "--prompts", "mark.jsonl"), "3 different prompts a domain"),
    ((*CALIBRATE, "--prompts", "twice.jsonl"), "'a' has 1"),
    ((*CALIBRATE, "--prompts", "partly.jsonl"), "1 of 3 prompts name a domain"),
    (("calibrate", "kangaroo", "--out", "new", "--prompts", "mark.jsonl"), "3 prompts"),
    ((*CALIBRATE, "--threads", "0"), "between 1 and"),
    (("calibrate", "knn-ssd:faithful", "--out", "new"), "give 'faithful' with --preset"),
    (("calibrate", "knn-ssd", "--out", "foreign"), "holds something else, 'latency profile'"),
    (("calibrate", "knn-ssd", "--out", "mark.jsonl"), "not a folder that can be written to"),
    (("calibrate", "knn-ssd", "--out", "/proc/nope"), "not a folder that can be written to"),
    (("calibrate", "knn-ssd", "--out", "x" * 5000), "not a folder that can be written to"),
]
BEFORE_PRICING = [
    ((*CALIBRATE, "--new-tokens", "9999999", "--prompts", "some.jsonl"), "the 64 positions"),
    ((*CALIBRATE, "--prompts", "long.jsonl"), "'a/1' has 300 tokens"),
]
