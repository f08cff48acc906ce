"""Settings of studies that are refused before any work."""

import pytest

from specframe.errors import InvalidConfig
from specframe.studies.attention_share import AttentionShareSettings
from specframe.studies.context_length import ContextSettings
from specframe.studies.cross_domain import CrossDomainSettings
from specframe.studies.oracle import OracleSettings
from specframe.studies.pruning import PruningSettings
from specframe.studies.retraining import RetrainingSettings
from specframe.studies.scale import ScaleSettings
from specframe.studies.tpt_correlation import TptSettings
from specframe.studies.tree import TreeSettings
from specframe.studies.worlds.domain_strategies import DomainSettings


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (AttentionShareSettings, {"contexts": (1, 200)}, "'contexts'"),
        (ContextSettings, {"contexts": (128,)}, "two or more"),
        (CrossDomainSettings, {"per_domain": 0}, "per_domain"),
        (DomainSettings, {"calibration": 2}, "'calibration'"),
        (OracleSettings, {"calibration": 2}, "'calibration'"),
        (PruningSettings, {"thresholds": (0.5, 1.5)}, "'thresholds'"),
        (RetrainingSettings, {"longest": 3}, "'longest'"),
        (RetrainingSettings, {"periods": 1}, "'periods'"),
        (RetrainingSettings, {"prompts": 5}, "'prompts'"),
        (ScaleSettings, {"profiles": ()}, "'profiles'"),
        (TptSettings, {"ranked": (0.5,), "random": (0.5,)}, "3 or more"),
        (TreeSettings, {"trees": ("3", "x")}, "draft_tree"),
    ],
)
def test_settings_out_of_range_are_refused(settings, given, message):
    with pytest.raises(InvalidConfig, match=message):
        settings(**given)
