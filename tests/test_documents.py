"""Every Python fence of the documents runs as it stands, on a small model under the name asked."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(text, id=f"{path.relative_to(ROOT)}-{number}")
    for path in DOCUMENTS
    for number, text in enumerate(FENCE.findall(path.read_text(encoding="utf-8")))
]


class ByteTokenizer:
    """Bytes as tokens, with what the documents use of a tokenizer."""

    def __call__(self, text: str, return_tensors: str | None = None) -> dict:
        ids = list(text.encode())
        return {"input_ids": torch.tensor([ids]) if return_tensors else ids}

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode(errors="replace")


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=24,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=256,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_of_the_documents_runs(snippet, monkeypatch, capsys):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda name, **_: small_model())
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda name, **_: ByteTokenizer())
    exec(compile(snippet, "snippet", "exec"), {"__name__": "__main__"})
    if "print(" in snippet:
        assert capsys.readouterr().out.strip()
