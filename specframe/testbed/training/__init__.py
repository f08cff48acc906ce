"""How the testbed's model is trained."""
