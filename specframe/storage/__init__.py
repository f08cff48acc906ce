"""Files: saved calibrations, and measurements kept in the user's cache folder."""
