"""Time of the newest data in a copy: its error, its age, and when it tells nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk import moments
from drillbook.sdk.moments import Moment, newest
from drillbook.values import Duration


def ago(*seconds):
    now = datetime.now(UTC)
    return [now - timedelta(seconds=each) for each in seconds]


def measured(found, max_age=None):
    return moments.measured("shop", found, max_age, hint="look")


def test_the_error_is_the_usual_interval_of_the_newest_writes():
    times = ago(5, 15, 18, 22, 1000)
    assert newest(times, "orders.at") == [Moment(times[0], "orders.at", 7.0)]
    assert newest(times[:1], "orders.at", resolution_s=1.0)[0].error_s == 1.0
    assert newest([], "orders.at") == []
    burst = [*ago(*range(moments.SAMPLE)), *ago(*range(10_000, 90_000, 1000))]
    assert newest(burst, "orders.at")[0].error_s == 1.0, "old intervals do not count"


def test_the_newest_of_several_sources_counts():
    old, young = newest(ago(100), "old"), newest(ago(10, 14), "young")
    facts = measured([*old, *young], Duration(60))
    assert (facts["basis"], facts["error_s"], round(facts["age_s"])) == ("young", 4.0, 10)
    assert [each["basis"] for each in facts["moments"]] == ["old", "young"]


def test_data_that_is_too_old_fails():
    with pytest.raises(StepFailed) as failure:
        measured(newest(ago(100), "old"), Duration(60))
    assert [found.code for found in failure.value.findings] == ["backup-too-old"]
    assert failure.value.facts["basis"] == "old"


def test_an_age_is_told_as_people_say_it():
    """A person reads no number of 42149 seconds."""
    with pytest.raises(StepFailed, match=r"^the newest data in shop is 11 h 42 min (29|30) s old$") as failure:
        measured(newest(ago(42149), "old"), Duration(60))
    assert failure.value.findings[0].measured.startswith("11 h 42 min ")


def test_no_time_and_a_time_in_the_future_tell_nothing():
    with pytest.raises(CouldNotVerify, match="shop contains no data") as told:
        measured([])
    assert told.value.hint == "look"
    with pytest.raises(CouldNotVerify, match="in the future: ahead"):
        measured(newest(ago(-moments.AHEAD_S - 60), "ahead"))
    assert measured(newest(ago(-10), "clock"))["basis"] == "clock", "clocks may differ a little"
