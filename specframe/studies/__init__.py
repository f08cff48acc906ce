"""Studies: one question each, answered by measurement (`specframe study NAME`)."""
