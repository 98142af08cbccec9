"""Growth of a process's memory: the line through the sizes of its resident set."""

from drillbook.systems.linux import growth


def test_growth_is_the_slope_of_the_line_through_the_sizes():
    facts = growth.summary([(10.0, 1000), (11.0, 2010), (12.0, 2990), (13.5, 4500)])
    assert (facts["samples"], facts["seconds"], facts["grows"]) == (4, 3.5, True)
    assert (facts["rss_first_bytes"], facts["rss_bytes"], facts["rss_max_bytes"]) == (1000, 4500, 4500)
    assert 990 <= facts["growth_bytes_per_s"] <= 1010
    assert 0 < facts["growth_error"] < 30


def test_memory_that_goes_up_and_down_does_not_grow():
    facts = growth.summary([(0.0, 5000), (1.0, 9000), (2.0, 4000), (3.0, 8000), (4.0, 5000)])
    assert (facts["grows"], facts["rss_max_bytes"], facts["rss_bytes"]) == (False, 9000, 5000)


def test_two_samples_show_no_growth():
    facts = growth.summary([(0.0, 1000), (1.0, 900_000)])
    assert (facts["grows"], facts["growth_bytes_per_s"], facts["growth_error"]) == (None, None, None)
