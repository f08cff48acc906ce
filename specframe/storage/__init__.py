"""Files: saved calibrations, and measurements stored in the user's cache folder."""
