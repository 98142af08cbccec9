"""Losses of data that a run measured."""

import pytest

from drillbook.report import headlines, html, losses, rehearsal_results
from drillbook.sdk.backup import UNKNOWN_S
from drillbook.sdk.backup_source import PRINTED_BASIS
from tests.report import samples
from tests.report.rehearsed import view


@pytest.mark.parametrize("printed", [True, False])
def test_a_loss_that_was_counted_from_the_start_of_a_command_is_not_told(printed):
    """Older versions recorded such a loss, of about 0 s."""
    basis = f"{PRINTED_BASIS}; the age of the data is unknown" if printed else "time of the file"
    told = view(loss_s=0.25, error_s=0, basis=basis)
    shown = dict(row[:2] for row in rehearsal_results.rows(told.result))
    assert shown["Would be lost"] == ("not measured" if printed else "0.25 s")
    assert ("it was not measured how much data would be lost" in headlines.sentence(told)) is printed
    assert (losses.section(told) == []) is printed


@pytest.mark.parametrize(("error_s", "error"), [(7, "± 7 s, included; measured: 6.65 s"), (2, "± 2 s"), (0, "none")])
def test_a_loss_is_told_with_the_time_of_the_newest_data_and_its_error(error_s, error):
    facts = {"loss_s": 6.654, "error_s": error_s, "basis": "end of the dump", "newest_moment": "2026-11-30T04:46:00.000Z"}
    step = samples.step("backup.5", "backup.measure", facts=facts)
    told = samples.view(samples.result(steps=(step.result,), clocks={}, findings=()), steps=(step,))
    (row,) = losses.loss_rows(told)
    assert (row.newest, row.error) == ("2026-11-30 04:46:00 UTC", error)
    assert f"| 2026-11-30 04:46:00 UTC | {error} | end of the dump |" in losses.section(told)[1]
    page = html.render(told).replace("\N{NO-BREAK SPACE}", " ")
    assert 'data-head="Newest data">2026-11-30 04:46:00 UTC<' in page
    assert f'data-head="Error">{error}<' in page


def test_a_loss_without_the_duration_of_the_backup_job_is_a_lower_limit():
    """The file's time is the end of the backup job, so the data is older by an unknown duration."""
    basis = f"modification time of the file: the end of the dump; {UNKNOWN_S}"
    told = view(loss_s=41299.4, error_s=1.0, basis=basis)
    shown = dict(row[:2] for row in rehearsal_results.rows(told.result))
    assert shown["Would be lost"] == "at least 11 h 28 min 18 s"
    assert "; at least 11 h 28 min 18 s of data would be lost" in headlines.sentence(told)
    (row,) = losses.loss_rows(told)
    assert (row.loss, row.error) == ("at least 11 h 28 min 18 s", "\u00b1 1 s")
    assert rehearsal_results.loss_figure(0.4, 1.0, basis) == "at least 0.00 s"
    assert rehearsal_results.loss_figure(41299.4, 1.0, "end of the dump") == "11 h 28 min 19 s \u00b1 1 s"
