"""Remarks on figures: the RPO of the drill's own backup, the observer of the fault, and lost writes in seconds."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from drillbook.judge.result import Result, StepResult
from drillbook.report import changes, html, index, junit, markdown, rehearsal_results, remarks, rows, wording
from drillbook.report.remarks import (
    MARK,
    OWN_BACKUP,
    OWN_REHEARSED,
    RECENT_BACKUP,
    RECENT_MARK,
    REMOVED_BY,
    RESERVATION,
    RESERVED,
)
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain

OWN = {"identity": {"manifest": "aa"}, "location": "s3://backups/today"}
NIGHTLY = {"identity": {"manifest": "bb"}}
STARTED = "2026-01-02T10:00:00Z"


def step(id_: str, action: str, status: str = "done", **facts: object) -> StepResult:
    return StepResult.model_validate(
        {"id": id_, "action": action, "host": "db-1", "status": status, "seconds": 1.0, "facts": facts}
    )


def of_source(taken_at: str, action: str = "backup.restore", **more: object) -> StepResult:
    return step("restore.1", action, backup={"id": "dump.rdb", "taken_at": taken_at, **more})


DURING = "2026-01-02T10:00:07.000Z"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (
            [step("backup.1", "postgres.dump", **OWN), step("restore.1", "postgres.restore", made={"manifest": "aa"})],
            OWN_BACKUP,
        ),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "postgres.restore", made={"manifest": "bb"})], ""),
        ([step("backup.1", "x.intact", **NIGHTLY), step("restore.1", "postgres.restore", made={"manifest": "bb"})], ""),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "x.y", "failed", made={"manifest": "aa"})], ""),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "service.start")], ""),
        ([step("backup.1", "x.y", location="s3://a"), step("restore.1", "x.y", made={"unknown": "no answer"})], ""),
        ([of_source(DURING, basis="time of the last change of the file on db-1")], RECENT_BACKUP),
        ([of_source(DURING)], RECENT_BACKUP),
        ([of_source(DURING, error_s=60.0)], RECENT_BACKUP),
        ([of_source("2026-01-02T09:59:59.000Z", error_s=2)], RECENT_BACKUP),
        ([of_source("2026-01-02T09:59:57.000Z", error_s=2)], ""),
        ([of_source("2026-01-02T09:50:00.000Z", started_at="2026-01-02T09:00:00.000Z", error_s=3601)], ""),
        ([of_source(DURING, started_at="2026-01-02T10:00:06.000Z", error_s=2)], RECENT_BACKUP),
        ([of_source("2026-01-02T03:00:00.000Z", until=DURING, error_s=86400)], ""),
        ([step("restore.1", "postgres.restore", made={"manifest": "bb"}, snapshot_at=DURING)], RECENT_BACKUP),
        ([step("restore.1", "postgres.restore", made={"manifest": "bb"}, snapshot_at="2026-01-02T03:00:00.000Z")], ""),
        ([of_source(DURING, basis="start of the command, by the controller's clock")], ""),
        ([of_source(DURING, basis="start of the command, by the controller's clock; of a dump")], ""),
        ([of_source(DURING, "backup.check")], ""),
        ([of_source("2026-01-02T03:00:00.000Z")], ""),
    ],
)
def test_the_drill_took_a_backup_only_when_one_of_its_steps_stored_it(steps: list[StepResult], text: str) -> None:
    found = remarks.of_backup(steps, STARTED)
    assert (found.text if found else "") == text


def test_the_remark_of_a_rehearsal_tells_of_no_fault() -> None:
    own = [step("backup.1", "postgres.dump", **OWN), step("restore.1", "postgres.restore", made={"manifest": "aa"})]
    restore = of_source("2026-01-02T03:00:00.000Z").model_copy(update={"id": "restore.2"})
    for steps, text in (([*own, restore], OWN_REHEARSED), ([of_source(DURING)], RECENT_BACKUP)):
        told = rehearsal_results.rows(samples.result(steps=tuple(steps), started=STARTED, faults=()))
        (lines,) = [lines for name, _, lines in told if name == "Would be lost"]
        assert lines == (text,)
        assert "fault" not in text


REMOVED = f"O{REMOVED_BY[1:]}."


def test_each_mark_has_its_meaning_in_the_legend() -> None:
    assert remarks.legend(["", f" {MARK}"]) == f"{MARK} {OWN_BACKUP} {RESERVATION} {REMOVED}".format(reservation=MARK)
    assert remarks.legend([f" {RECENT_MARK}"]) == f"{RECENT_MARK} {RECENT_BACKUP} {RESERVATION} {REMOVED}".format(
        reservation=RECENT_MARK
    )
    both = f"{MARK} {OWN_BACKUP} {RECENT_MARK} {RECENT_BACKUP} {RESERVATION} {REMOVED}".format(
        reservation=f"{MARK} and {RECENT_MARK}"
    )
    assert remarks.legend([f" {RECENT_MARK}", f" {MARK}"]) == both
    assert not remarks.legend([""])


def restored_nightly() -> Result:
    """The passed run, as if it had restored the backup of another run."""
    found = samples.passed().result
    nightly = {"made": {"manifest": "bb"}, "snapshot_at": "2020-01-01T03:00:00Z"}
    steps = [
        one.model_copy(update={"facts": one.facts | nightly}) if one.id.startswith("restore.") else one
        for one in found.steps
    ]
    return found.model_copy(update={"steps": tuple(steps)})


def test_the_rpo_of_the_drills_own_backup_says_so_in_every_format_and_only_there() -> None:
    view = samples.passed()
    for text in renderings.formats(view).values():
        assert plain(text).count(OWN_BACKUP) == 1, text
    for text in renderings.formats(samples.view(restored_nightly())).values():
        assert OWN_BACKUP not in plain(text)


def test_lists_show_a_mark_and_its_legend_once() -> None:
    suite, views = samples.suite()
    page = html.render_suite(suite, views).split('id="drill-1"')[0]
    assert plain(page).count(remarks.LEGENDS[MARK]) == 1
    assert f"RPO 12.90 s ± 0.11 s {MARK} ~ met with a reservation" in plain(page)
    assert "Detection by the drill's probe 1.81 s +0/−0.21 s ✓ met" in plain(page)
    lines = renderings.printed(summary.suite_ending(suite, views)).splitlines()
    assert any(re.search(rf"~ 12\.9 s {MARK} +129 writes +✓ 1\.81 s", line) for line in lines)
    entry = index.entry(samples.passed().result.model_dump(mode="json", by_alias=True))
    listed = plain(index.render([entry]))
    assert listed.count(remarks.LEGENDS[MARK]) == 1
    assert f"12.90 s ± 0.11 s {MARK}" in listed
    nightly = index.render([index.entry(restored_nightly().model_dump(mode="json", by_alias=True))])
    assert MARK not in nightly


def test_an_objective_has_the_same_state_in_every_format_and_on_every_page() -> None:
    view = samples.passed()
    states = {row.key: row.state for row in rows.rows_of(view.result)}
    assert states == {"rto": "met", "rpo": RESERVED, "detect": "met"}
    kept = samples.view(restored_nightly())
    assert {row.state for row in rows.rows_of(kept.result)} == {"met"}
    for ending, text in {**renderings.formats(view), "txt": renderings.printed(summary.summary(view), 300)}.items():
        assert RESERVED in plain(text), ending
    for ending, text in renderings.formats(kept).items():
        assert RESERVED not in plain(text), ending
    suite, views = samples.suite()
    data = view.result.model_dump(mode="json", by_alias=True)
    pages = {"run": html.render(view), "suite": html.render_suite(suite, views), "index": index.render([index.entry(data)])}
    state = '<span class="state unverified"><span class="shape" aria-hidden="true">~</span> met with a reservation</span>'
    for name, page in pages.items():
        assert state in page, name
        cells = [
            part.split("</td>")[0] for part in re.split(r"<td|<div>", page) if f"12.90 s ± 0.11 s {MARK}" in plain(part)
        ]
        assert not any("✓ met" in plain(cell) for cell in cells), name
    assert f"~ 12.9 s {MARK}" in plain(renderings.printed(summary.suite_ending(suite, views), 200))
    assert f" RPO {RESERVED}: postgres-lost" in plain(pages["suite"].split("</header>")[0])
    told = "Every objective was measured; the RTO and the detection by the drill's probe were met; the RPO was met with a reservation: "
    assert f"{told}the drill itself took the restored backup." in plain(pages["run"])
    properties = {one.get("name"): one.get("value") for one in ElementTree.fromstring(junit.render(view)).iter("property")}
    assert properties["objective.rpo"] == RESERVED
    assert properties["objective.rto"] == "met"


@pytest.mark.parametrize(
    ("met", "measured", "state"), [(True, 1.0, RESERVED), (False, 1.0, "missed"), (None, 1.0, "not verified")]
)
def test_a_reservation_hides_neither_a_miss_nor_a_doubt(met: bool | None, measured: float, state: str) -> None:
    assert wording.state_of(met, measured, remarks.Remark(OWN_BACKUP, f" {MARK}")) == state
    assert wording.state_of(True, None, remarks.Remark(OWN_BACKUP, f" {MARK}")) == "not verified"
    assert wording.state_of(True, measured, remarks.Remark("noticed by a probe", by="probe")) == "met"


def test_a_trend_draws_a_reservation_in_a_shape_of_its_own_and_explains_it() -> None:
    own, nightly = samples.passed().result, restored_nightly()
    entries = [
        index.entry(
            one.model_copy(
                update={"run": f"20260{day}01T100000.000Z-x-0001", "started": f"2026-0{day}-01T10:00:00Z"}
            ).model_dump(mode="json", by_alias=True)
        )
        for day, one in enumerate((own, *[nightly] * 3), 1)  # three runs at least are drawn
    ]
    page = index.render(entries)
    assert page.count('<path class="reserved"') == 1
    assert "Diamond: met with a reservation" in plain(page)
    assert "Diamond" not in plain(index.render(entries[1:]))


def alerted(*steps: StepResult) -> Result:
    return samples.result(steps=(*samples.passed().result.steps, *steps))


FIRED = step("detect.2", "prometheus.alert_fires", alerts=[{"alert": "ApiDown"}])
RECEIVED = step("detect.3", "alertmanager.received", alerts=[{"labels": {"alertname": "ApiPaged"}}])


@pytest.mark.parametrize(
    ("steps", "by"),
    [
        ((), "by the drill's probe"),
        ((RECEIVED,), "by the alert ApiPaged"),
        ((RECEIVED, FIRED), "by the alert ApiDown"),
        ((FIRED, step("detect.4", FIRED.action, alerts=[{"alert": "Errors"}])), "by the last of the alerts ApiDown, Errors"),
        ((step("detect.2", FIRED.action, "failed"),), "by the expected alert"),
        ((step("verify.2", FIRED.action, alerts=[{"alert": "ApiDown"}]),), "by the drill's probe"),
    ],
)
def test_detection_names_the_alert_or_the_probe(steps: tuple[StepResult, ...], by: str) -> None:
    view = samples.view(alerted(*steps))
    for text in renderings.formats(view).values():
        assert (f"Detected {by}." if by != remarks.PROBE else wording.PROBE_DETECTION) in plain(text)
        assert (remarks.NO_ALERT in plain(text)) == (by == remarks.PROBE)
    (row,) = [row for row in rows.rows_of(view.result) if row.key == "detect"]
    assert row.by == by.removeprefix("by the ").removeprefix("drill's ").removeprefix("last of the ")
    span = next(clock.span for clock in wording.clocks_of(view.result) if clock.key == "detection")
    assert span in plain(markdown.render(view))
    assert by.removeprefix("by ").removeprefix("the ") in span


def test_a_detection_by_a_probe_of_the_drill_says_so_everywhere() -> None:
    """As if the alerts of the team had detected the fault."""
    for steps, name in (((), wording.PROBE_DETECTION), ((FIRED,), "Detection")):
        view = samples.view(alerted(*steps))
        (row,) = [row for row in rows.rows_of(view.result) if row.key == "detect"]
        assert (row.name, row.state, row.met) == (name, "met", True), "the words differ, and the result is the same"
        assert [clock.name for clock in wording.clocks_of(view.result) if clock.key == "detection"] == [name]
        for text in (html.render(view), markdown.render(view), renderings.formats(view)["txt"]):
            assert (wording.PROBE_DETECTION in plain(text)) == (name == wording.PROBE_DETECTION)
            assert not re.search("noticed", plain(text), re.IGNORECASE), "a detection has one name"
    later = changes.change_rows(samples.ALL["repeated"]())
    assert "Detection" not in [row.what for row in later]


def test_detection_by_alertmanager_ends_with_its_answer_and_not_with_the_start_of_the_alert() -> None:
    meanings = {}
    for name, steps in (("received", (RECEIVED,)), ("fired", (RECEIVED, FIRED))):
        found = samples.view(alerted(*steps))
        marks = {**found.timeline.marks, "alerted": 12.0}
        view = found.model_copy(update={"timeline": found.timeline.model_copy(update={"marks": marks})})
        clock = next(clock for clock in wording.clocks_of(view.result) if clock.key == "detection")
        text = plain(markdown.render(view))
        assert clock.span in text
        assert clock.error in text
        (meaning,) = [meaning for mark, meaning, _ in rows.moment_rows(view) if mark == "alert"]
        assert meaning in text
        meanings[name] = (clock.span, wording.ERROR_NAMES[clock.error], meaning)
    assert meanings == {
        "received": (
            "from the start of the injection to the first answer of Alertmanager that the alert ApiPaged is active",
            "two polls",
            "Alertmanager first answered that the expected alert is active",
        ),
        "fired": (
            "from the start of the injection to the start of the alert ApiDown",
            "the alert",
            "the expected alert began to fire",
        ),
    }


def test_lost_writes_are_told_in_seconds_too() -> None:
    wanted = re.compile(
        r"129 of 208 acknowledged test writes of the drill: numbers 86 to 214 \(the canary numbers its writes, also those that were not acknowledged; the 208 were acknowledged before the disruption, or later but lost\); RPO 12\.90 s ± 0\.11 s"
    )
    for text in renderings.formats(samples.passed()).values():
        assert wanted.search(plain(text))
    unknown = samples.passed().result
    clocks = {key: value for key, value in unknown.clocks.items() if not key.startswith("rpo")}
    text = markdown.render(samples.view(unknown.model_copy(update={"clocks": clocks, "objectives": {}})))
    assert "numbers 86 to 214\n" in text
    assert "; RPO" not in text


def test_every_explanation_of_an_error_has_a_name_of_its_own() -> None:
    for view in (samples.passed(), samples.view(alerted(FIRED)), samples.view(alerted(RECEIVED))):
        keys = [clock.key for clock in wording.clocks_of(view.result)]
        names = wording.error_notes(view.result, keys)
        assert len(set(names.values())) == len(names) == len({clock.error for clock in wording.clocks_of(view.result)})


def test_the_figure_of_an_objective_in_a_finding_has_its_error() -> None:
    for name, code in (("too_slow", "objective-missed"), ("failed", "objective-not-verified")):
        known = samples.recorded(name).result
        alone = tuple(one for one in known.findings if one.code == code)  # without the finding that is the cause
        view = samples.recorded(name).model_copy(update={"result": known.model_copy(update={"findings": alone})})
        found = rows.findings_of(view.result)
        assert found
        for one in found:
            (row,) = [row for row in rows.rows_of(view.result) if one.title.endswith(f": {row.key.upper()}")]
            assert one.measured.startswith(f"({row.measured}) {row.uncounted}" if row.uncounted else row.measured)
            assert re.search(" s (± |\\+0/)", row.measured), "the error is stated"
            assert one.measured in plain(markdown.render(view))
