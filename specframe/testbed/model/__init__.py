"""The testbed's model: its folder, tokenizer, encoding and card."""
