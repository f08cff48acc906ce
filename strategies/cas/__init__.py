"""CAS-Spec, as published and as it pays."""
