"""The measurements of `gpu_check.py`."""
