"""The executor for models that the fused executor cannot run."""
