"""What `gpu_check.py` measures."""
