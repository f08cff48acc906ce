"""Tokenizers that need no files."""


class Words:
    """A token a word: its length."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        """Token ids of a text."""
        return {"input_ids": [len(word) for word in text.split()]}


class ChatWords(Words):
    """With a chat template: a number above all lengths for each role, then the words."""

    chat_template = "<role> content"
    roles = {"user": 1001, "assistant": 1002}  # noqa: RUF012

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> dict[str, list[int]]:
        """Token ids of a conversation."""
        assert add_generation_prompt
        assert tokenize
        ids: list[int] = []
        for message in messages:
            ids += [self.roles[message["role"]], *self(message["content"])["input_ids"]]
        return {"input_ids": [*ids, self.roles["assistant"]]}
