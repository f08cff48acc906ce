"""Models, prices and prompts that several studies run on."""
