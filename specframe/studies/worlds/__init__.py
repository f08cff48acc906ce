"""Models, prices, prompts and calibrated strategies that several studies share."""
