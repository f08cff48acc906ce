"""The draft-verify loop and its parts."""
