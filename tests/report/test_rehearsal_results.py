"""Reports of a rehearsal: the restored data with durations, and the possible loss; clocks of a fault do not apply."""

import re

import pytest

from drillbook.judge.result import FaultResult, Injection, Timeline
from drillbook.judge.verdicts import Verdict
from drillbook.report import clock_rows, headlines, html, index, markdown, rehearsal_results, rows, wording
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.rehearsed import BACKUP, NO_FAULT, RESTORED, view
from tests.report.test_agreement import plain


def test_the_first_sentence_names_the_restore_and_the_loss():
    assert headlines.sentence(view()).startswith("The backup was restored in 0.61 s; 12 s ± 1 s of data would be lost.")
    assert "12.3 s of data would be lost" in headlines.sentence(view(error_s=0)), "the basis is the moment of a commit"


def test_a_backup_that_a_command_printed_is_of_unknown_age():
    printed = BACKUP | {"basis": "start of the command, by the controller's clock; the age of the data is unknown"}
    step = samples.step("restore.1", "backup.restore", facts=RESTORED | {"backup": printed})
    shown = dict(
        row[:2]
        for row in rehearsal_results.rows(samples.result(steps=(step.result,), objectives={}, findings=(), faults=()))
    )
    assert shown["Backup"] == "www-1.tar.gz, read from a command at 2026-01-02 09:59:58 UTC; the age of its data is unknown"


def test_every_report_shows_the_backup_and_no_clock_of_a_fault():
    shown = {name: (text, lines) for name, text, lines in rehearsal_results.rows(view().result)}
    assert shown == {
        "Backup": ("www-1.tar.gz, of 2026-01-02 09:59:58 UTC", ()),
        "Restored in": ("0.61 s, 3.0 MiB on disk", ("unpack 0.52 s, other 0.09 s", rehearsal_results.TIMED)),
        "Would be lost": ("12 s ± 1 s", ("time of the file",)),
        "Sandbox": (
            "isolation: namespace",
            ("tried 2 addresses of the inventory from inside the sandbox, and reached none of them",),
        ),
        "Checked before the restore": ("every byte was read; the end is there", ()),
        "Problems that this check cannot detect": ("<a file> that is missing", ()),
    }
    assert [row.clock.key for row in clock_rows.clock_rows(view().result)] == ["restore", "waiting"]
    errors = [line.partition(": ")[0] for line in markdown.render(view()).splitlines() if line.startswith("- Error of ")]
    assert errors
    assert not [line for line in errors for name in ("Detection", "Outage", "Recovery", "RPO") if name in line]
    for text in (html.render(view()), markdown.render(view())):
        assert "www-1.tar.gz, of 2026-01-02 09:59:58 UTC" in text
        assert NO_FAULT not in text
        assert "<a file>" not in text, "it is only text"


def test_durations_in_the_basis_are_in_units_that_people_read():
    basis = "end of the dump; by its own record, the dump began 3587708 s earlier"
    told = view(basis=basis)
    assert "began 41 d 12 h 35 min 8 s earlier" in str(dict(row[::2] for row in rehearsal_results.rows(told.result)))
    for text in (html.render(told), markdown.render(told)):
        assert text.replace("\N{NO-BREAK SPACE}", " ").count("began 41 d 12 h 35 min 8 s earlier") == 2, (
            "the backup and the losses"
        )


def test_a_rehearsal_says_why_it_has_no_times_of_a_fault():
    """A rehearsal that measures no outage lacks nothing."""
    sentence = (
        "There is no outage, detection or recovery to measure: the drill injects no fault. The drill sets no objectives."
    )
    told = view(status="failed")
    unmeasured = dict.fromkeys(told.result.clocks, NO_FAULT) | {"disruption": NO_FAULT}
    result = told.result.model_copy(
        update={"verdict": Verdict.FAILED, "clocks": dict.fromkeys(told.result.clocks), "unmeasured": unmeasured}
    )
    told = told.model_copy(update={"result": result, "plan": {"steps": [{"effect": "read"}]}})
    assert rows.nothing_measured(told) == sentence


@pytest.mark.parametrize("told", [view(status="failed"), view(status="skipped")])
def test_a_backup_that_was_not_restored_is_no_rehearsal(told):
    assert rehearsal_results.rows(told.result) == []
    assert rehearsal_results.markdown(told.result) == []
    assert "No disruption was measured" in headlines.sentence(told)
    assert NO_FAULT in markdown.render(told)


def test_a_drill_with_a_fault_keeps_all_its_clocks():
    told = view(faults=(FaultResult(step="inject.1", host="db-1", injection=Injection.INJECTED),))
    assert told.result.faults
    assert len(clock_rows.clock_rows(told.result)) == len(wording.CLOCKS)


@pytest.mark.parametrize(
    ("isolation", "seen"),
    [("namespace", rehearsal_results.NO_NETWORK), ("container", rehearsal_results.NO_NETWORK), ("none", "")],
)
def test_a_sandbox_that_tried_no_address_says_why_and_what_was_checked(isolation, seen):
    """As in the first report of a newcomer: the inventory of `init --rehearse` names no server of production."""
    told = view(restored={"isolation": isolation, "unreachable": []})
    for text in (html.render(told), markdown.render(told)):
        assert "the inventory names no service with an address" in text
        assert (rehearsal_results.NO_NETWORK in text) == bool(seen), "without isolation, the host's network is there"


@pytest.mark.parametrize(
    ("taken_at", "words"),
    [("2026-01-02T09:59:58.000Z", ""), ("2026-01-02T10:00:07.000Z", ", with a backup taken during this run")],
)
def test_the_loss_of_a_backup_that_the_run_took_itself_says_so(taken_at, words):
    known = view()
    restored = known.result.steps[1].model_copy(update={"facts": RESTORED | {"backup": BACKUP | {"taken_at": taken_at}}})
    steps = (known.result.steps[0], restored, known.result.steps[2])
    result = known.result.model_copy(update={"steps": steps, "started": "2026-01-02T10:00:00.000Z"})
    told = known.model_copy(update={"result": result})
    sentence = f"The backup was restored in 0.61 s; 12 s ± 1 s of data would be lost{words}."
    assert headlines.sentence(told).startswith(sentence)
    for text in (renderings.printed(summary.ending(told)), *renderings.formats(told).values()):
        assert sentence in plain(text)


def test_the_stages_of_a_restore_are_in_the_order_in_which_they_ran_and_add_up():
    """The journal sorts them by name."""
    seconds = {"analyze": 1.462, "data": 1.976, "outline": 0.049, "roles": 0.224, "sandbox": 0.195, "server": 3.581}
    assert rehearsal_results._restored({"seconds": {**seconds, "total": 9.045}}) == (
        "9.04 s",
        (
            "sandbox 0.20 s, outline 0.05 s, server 3.58 s, roles 0.22 s, data 1.98 s, analyze 1.46 s, other 1.56 s",
            rehearsal_results.TIMED,
        ),
    )


def test_a_command_in_the_table_of_the_backup_is_code():
    said = "the roles: `postgres.sql` can list them"
    step = samples.step("backup.1", "backup.check", facts={"covered": [], "not_covered": [said]})
    told = view()
    told = told.model_copy(
        update={"result": told.result.model_copy(update={"steps": (step.result, *told.result.steps[1:])})}
    )
    assert (
        "the roles: <code>postgres.sql</code> can list them"
        in html.render(told).partition('id="backup"')[2].partition("</table>")[0]
    )
    assert "the roles: `postgres.sql` can" in rehearsal_results.markdown(told.result)[1]


def test_labels_of_a_table_on_a_narrow_screen_fit_before_their_values():
    labels = set(re.findall('data-head="([^"]*)"', html.render(view()) + html.render(samples.passed())))
    assert {label for label in labels if len(label) > len("Since the start")} == set()


def test_what_the_restore_showed_is_not_listed_as_unseen():
    """The check of a dump cannot tell whether the dump can be restored. The run that restored this dump can."""
    missing = "missing rows: row security may have hidden them"
    unseen = {
        "not_covered": [
            f"whether the dump can be restored: `{rehearsal_results.RESTORE}` into a sandbox shows this",
            missing,
        ]
    }
    for checked, listed in (({"id": BACKUP["id"]}, [missing]), ({"id": "another"}, unseen["not_covered"])):
        assert rehearsal_results._unseen(RESTORED, unseen | {"backup": checked}) == listed


MANIFEST = "s3://backups/20260101T030000.000Z-nightly-0001/shop/manifest.json#sha256=aa"


def stored(*, inject=False):
    """The run of a drill that restores the newest backup in the store of Drillbook to a spare server."""
    known = {"location": "s3://backups/x", "manifest": MANIFEST, "snapshot_at": "2026-01-01T03:00:00Z", "age_s": 1505.056}
    made = {
        "manifest": MANIFEST,
        "made": {"manifest": "aa"},
        "seconds": {"data": 1.9, "total": 8.6},
        "other_service": "spare",
    }
    steps = (
        samples.step("backup.1", "postgres.newest_backup", facts=known),
        *([samples.step("inject.1", "command.run")] if inject else []),
        samples.step("restore.1", "postgres.restore", facts=made | {"snapshot_at": known["snapshot_at"]}),
    )
    result = view().result.model_copy(
        update={"steps": tuple(one.result for one in steps), "started": "2026-01-02T10:00:00Z"}
    )
    return samples.view(result, steps=steps, timeline=Timeline(seconds=20.6, phases=(), probes=(), marks={}))


def test_a_restore_of_a_stored_backup_without_a_fault_tells_the_backup_and_its_age():
    told = stored()
    sentence = (
        "The backup was restored in 8.60 s; 25 min 5 s of data would be lost, with a backup that the drill nightly took, "
        "so no routine backup was proven, and this is not the age of one."
    )
    for text in (renderings.printed(summary.ending(told)), *renderings.formats(told).values()):
        assert sentence in plain(text)
    assert {name: text for name, text, _ in rehearsal_results.rows(told.result)} == {
        "Backup": "s3://backups/20260101T030000.000Z-nightly-0001/shop, of 2026-01-01 03:00:00 UTC",
        "Restored in": "8.60 s",
        "Would be lost": "25 min 5 s",
        "Sandbox": "none: restored to the service spare",
    }
    ((_, reason, origin),) = [lines for name, _, lines in rehearsal_results.rows(told.result) if name == "Would be lost"]
    assert reason == rehearsal_results.EXACT_LOSS
    for text in (html.render(told), markdown.render(told)):
        assert rehearsal_results.EXACT_LOSS in plain(text), "every number has its error, or the reason why it has none"
    assert (
        origin
        == "The run restored a backup that the drill nightly took, so no routine backup was proven, and this is not the age of one."
    )
    listed = plain(index.render([index.entry(told.result.model_dump(mode="json", by_alias=True))]))
    assert "would be lost (no sampling error), with a backup that the drill nightly took; no RPO" in listed
    assert [row.clock.key for row in clock_rows.clock_rows(told.result)] == ["restore", "waiting"]
    assert not rehearsal_results.rows(stored(inject=True).result), "the team's own commands may have broken something"


def test_the_table_of_a_suite_marks_a_figure_with_a_backup_of_a_drill():
    told = stored()
    suite, _ = samples.suite()
    suite = suite.model_copy(update={"runs": suite.runs[:1]})
    screen = plain(renderings.printed(summary.suite_ending(suite, [told]), 80))
    assert "25 min 5 s ‖" in screen
    assert "‖ an earlier run of a drill took the restored backup" in screen


@pytest.mark.parametrize(
    ("error_s", "told"), [(1.0, ""), (0, rehearsal_results.EXACT_LOSS), (None, rehearsal_results.UNSTATED)]
)
def test_a_loss_without_an_error_says_why(error_s, told):
    run = view(error_s=error_s)
    (lines,) = [lines for name, _, lines in rehearsal_results.rows(run.result) if name == "Would be lost"]
    assert lines == ("time of the file", *filter(None, [told]))
    listed = plain(index.render([index.entry(run.result.model_dump(mode="json", by_alias=True))]))
    said = f" ({told.partition(':')[0]})" if told else ""
    assert f"would be lost{said}; no RPO" in listed


def test_lists_of_runs_tell_the_figures_of_rehearsals():
    told = view()
    run = {"run": told.result.run, "drill": told.result.drill, "verdict": "passed", "exit": 0, "folder": "r"}
    suite = samples.suite()[0].model_copy(update={"runs": (run,)})
    screen = plain(renderings.printed(summary.suite_ending(suite, [told])))
    assert "restored in would be lost" in screen
    assert "0.61 s 12 s ± 1 s" in screen
    assert "restored in 0.61 s, 12 s ± 1 s would be lost" in plain(html.render_suite(suite, [told]))
    listed = plain(index.render([index.entry(told.result.model_dump(mode="json", by_alias=True))]))
    for part in listed.split("Drill by drill")[-1].split("All runs, the newest first"):  # drill by drill, and run by run
        assert re.search(r"rehearsed: 0.61 s ?to restore \(no sampling error\); no RTO", part)
        assert "no objective" not in part
        assert re.search("rehearsed: 12 s ± 1 s ?would be lost; no RPO", part)
