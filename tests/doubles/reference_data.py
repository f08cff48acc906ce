"""Where reference data lie: models, decisions and questions that others published.

`SPECFRAME_REFERENCE_DATA` names the folder; else it is `shared/data` beside the repository.
"""

import os
from pathlib import Path

BESIDE = Path(__file__).parents[2] / "shared" / "data"
REFERENCE = Path(os.environ.get("SPECFRAME_REFERENCE_DATA", BESIDE))
