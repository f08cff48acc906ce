"""Bad command lines of `generate`."""

from bad_input.files import DIGITS

BEFORE_LOADING = [
    (("generate", "hi", "--seed", "99999999999999999999999"), "seed"),
    (("generate", "hi", "--seed", "-1"), "seed"),
    (("generate", "hi", "--temperature", "nan"), "temperature"),
    (("generate", "hi", "--temperature", "inf"), "temperature"),
    (("generate", "hi", "--temperature", "1e-320"), "at least 1e-30, as logits are float32"),
    (("generate", "\udcff"), "not Unicode"),
    (("generate", "hi", "--stop", ""), "stop string is empty"),
    (("generate", "hi", "--strategy", "x" * 5000), "no strategy named 'xxx"),
    (("generate", "hi", "--strategy", ""), "no strategy named ''"),
    (("generate", "hi", "--strategy", "os.path:join"), "'os.path:join' is no strategy"),
    (("generate", "hi", "--preset", "nope"), "best or faithful"),
    (("generate", "hi", "--strategy", "knapspec:faithful"), "give 'faithful' with --preset"),
    (("generate", "hi", "--strategy", "draft-model"), "such as model=testbed-core. Got ''"),
    (
        ("generate", "hi", "--strategy", "draft-model", "--set", "model=tesbed-core"),
        "Did you mean 'testbed-core'",
    ),
    (("generate", "hi", "--strategy", "knapspek"), "Did you mean 'knapspec'"),
    (("generate", "hi", "--strategy", "broken"), "cannot be read"),
    (("generate", "hi", "--strategy", "deep"), "nested too deeply"),
    (("generate", "hi", "--strategy", "evil"), "no strategy that is installed here"),
    (("generate", "hi", "--strategy", "cascade", "--set", "of=evil"), "is installed here"),
    (("generate", "hi", "--strategy", "swift", "--set", f"seed={DIGITS}"), "whole number"),
    (("generate", "hi", "--strategy", "swift", "--set", "seed=" + "9" * 30), "whole number"),
    (("generate", "hi", "--set", f"draft_stop=length:{DIGITS}"), "draft_stop"),
    (("generate", "hi", "--set", "draft_stop=confidence:8:nan"), "draft_stop"),
    (("generate", "hi", "--set", f"draft_tree={DIGITS}"), "draft_tree"),
    (("generate", "hi", "--strategy", "knapspec", "--set", "longest=999999"), "in [1, 64]"),
    (("generate", "hi", "--strategy", "knapspec", "--set", f"memory={DIGITS}"), "memory"),
    (("generate", "hi", "--set", "=3"), "form name=value"),
    (("generate", "hi", "--set", "seed=1", "--set", "seed=2"), "seed is set twice: '1' and '2'"),
    (("generate", "hi", "--dtype", "int3"), "dtype must be auto, bfloat16"),
    (("generate", "hi", "--threads", "100000"), "between 1 and"),
    (("generate", "hi", "--device", "tpu"), "cpu or cuda"),
    (("generate", "hi", "--json", "no/such.json"), "cannot be written"),
    (("generate", "hi", "--json", "."), "cannot be written"),
]
BEFORE_PRICING = [
    (
        ("generate", "hi", "--strategy", "fixed", "--set", "mlp=1,99", "--max-new-tokens", "9"),
        "layers 0 to 2. Got 99 instead",
    ),
    (("generate", "", "--strategy", "knapspec"), "prompt is empty"),
    (("generate", "x" * 60, "--max-new-tokens", "5"), "exceeds the 64 positions"),
    (("generate", "hi", "--max-new-tokens", "99999999"), "exceeds the 64 positions"),
    (("generate", "hi", "--strategy", "knn-ssd", "--max-new-tokens", "9"), "not calibrated yet"),
]
