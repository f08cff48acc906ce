"""Files for bad command lines, and arguments that several share."""

FILES = {
    "mark.jsonl": b'\xef\xbb\xbf{"prompt": "abc", "domain": "a"}\n',
    "empty.jsonl": b'{"prompt": "", "domain": "a"}\n',
    "null.jsonl": b'{"prompt": "abc", "domain": null}\n',
    "nan.jsonl": b'{"prompt": "abc", "domain": NaN}\n',
    "half.jsonl": b'{"prompt": "\\ud800", "domain": "a"}\n',
    "deep.jsonl": b"[" * 100_000,
    "binary.jsonl": b"\xff\xfe\x00",
    "long.jsonl": b"".join(
        b'{"prompt": "%s%d", "domain": "a"}\n' % (b"x" * 299, i) for i in range(9)
    ),
    "some.jsonl": b"".join(b'{"prompt": "abc%d", "domain": "a"}\n' % i for i in range(6)),
    "twice.jsonl": b'{"prompt": "abc", "domain": "a"}\n' * 5,
    "partly.jsonl": b'{"prompt": "a"}\n{"prompt": "b", "domain": "a"}\n{"prompt": "c"}\n',
    "broken/manifest.json": b"{",
    "deep/manifest.json": b"[" * 100_000,
    "evil/manifest.json": b'{"schema_version": 1, "kind": "evil.payload:X", "fingerprint": {}}',
    "foreign/manifest.json": b'{"schema_version": 1, "kind": "latency profile"}',
    "mixed.toml": b"contexts = ['a']",
    "nan.toml": b"temperatures = [nan]",
    "cold.toml": b"temperatures = [1e-320]",
    "inf.toml": b"calibration_seconds = inf",
    "binary.toml": b"\xff\xfe",
    "digits.toml": b"per_domain = " + b"9" * 5000,
    "hex.toml": b"per_domain = 0x" + b"f" * 5000,
    "many.toml": b"per_domain = 1000000000",
    "near.toml": b"per_domian = 3",
    "flat.toml": b"grid = 3",
    "contexts.toml": b"contexts = [999999]",
    "two.toml": b"calibration_prompts = 2",
    "tokens.toml": b"new_tokens = 9999999",
    "deep.json": b"[" * 100_000,
    "nan.json": b'{"schema_version": 1, "rows": [], "summary": NaN}',
    "odd.json": b'{"schema_version": 1, "rows": 3, "summary": [{"selector": 5}], "config": []}',
    "config.json": b"{}",
}
SHORT = ("--prompts", "random", "--contexts", "16", "--new-tokens", "16")
CALIBRATE = ("calibrate", "knn-ssd", "--out", "new")
DIGITS = "9" * 5000
