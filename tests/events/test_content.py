"""Content of events: known and unknown fields, and the form in which the journal stores them."""

import pytest
from pydantic import ValidationError

from drillbook.events.content import ENDS, RECOVERY_FINISHED, RUN_FINISHED, Unknown
from drillbook.events.kinds import KINDS, parse
from drillbook.events.probes import ProbeSamples
from drillbook.events.runs import Ended, PhaseEnded, StopRequested


def test_a_field_of_a_newer_version_is_kept_beside_the_others():
    data = {"phase": "restore", "status": "done", "energy_kwh": 0.25}
    what = parse("phase.ended", data)
    assert isinstance(what, PhaseEnded)
    assert (what.phase, what.data()) == ("restore", data)


def test_a_field_that_was_not_given_is_not_written():
    assert StopRequested(by="ann", from_="lock").data() == {"by": "ann", "from": "lock"}
    assert ProbeSamples(probe="probe.1", samples=((0.0, 0.1, True, None),)).data().keys() == {"probe", "samples"}


def test_an_unknown_kind_keeps_its_name_and_its_content():
    data = {"name": "of the content", "over": ["here", 1.5, None]}
    what = Unknown(name="moon.rose", content=data)
    assert (what.kind_name(), what.data()) == ("moon.rose", data)


def test_a_content_never_changes():
    what = PhaseEnded(phase="restore", status="done")
    with pytest.raises(ValidationError):
        what.phase = "verify"


def test_no_error_repeats_a_value_that_may_be_a_secret():
    with pytest.raises(ValidationError) as failure:
        PhaseEnded.model_validate({"phase": ["hunter2"], "status": "done"})
    assert "hunter2" not in str(failure.value)


def test_the_kinds_that_end_a_run_are_named_without_their_models():
    assert ENDS == (RUN_FINISHED, RECOVERY_FINISHED)
    assert sorted(ENDS) == sorted(kind for kind, model in KINDS.items() if issubclass(model, Ended))
