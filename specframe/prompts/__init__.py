"""Prompts: from files, from the hub, from the testbed, and in a chat template."""
