"""`specframe bench engine`: the executor and the decoding loop alone, on random weights."""
