"""What a strategy is, how its drafts end, and how it is named and configured."""
