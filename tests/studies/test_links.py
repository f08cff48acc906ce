"""The price of an all-reduce."""

import pytest

from specframe.errors import InvalidConfig
from specframe.studies.worlds.links import GLOO, link_of


def test_a_price_is_given_in_microseconds_and_gigabytes_per_second():
    link = link_of("20:300")
    assert link.latency == pytest.approx(20e-6)
    assert link.all_reduce(3e11, 2) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("text", ["", "fast", "20", "20:0", "-1:300", "nan:1", "1:-5", "1:2:3"])
def test_an_invalid_price_is_refused(text):
    with pytest.raises(InvalidConfig, match="'link' parameter of ScaleSettings"):
        link_of(text)


@pytest.mark.slow
def test_gloo_is_measured_between_two_processes():
    link = link_of(GLOO)
    assert 0.0 <= link.latency < 0.1
    assert 1e-12 < link.per_byte < 1e-6
