"""Remarks on figures: the RPO of the drill's own backup, the observer of the fault, and lost writes in seconds."""

from __future__ import annotations

import re

import pytest

from drillbook.judge.result import Result, StepResult
from drillbook.report import html, index, markdown, remarks, rows, wording
from drillbook.report.remarks import MARK, OWN_BACKUP
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


def of_source(taken_at: str) -> StepResult:
    return step("restore.1", "backup.restore", backup={"id": "dump.rdb", "taken_at": taken_at})


@pytest.mark.parametrize(
    ("steps", "own"),
    [
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "postgres.restore", made={"manifest": "aa"})], True),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "postgres.restore", made={"manifest": "bb"})], False),
        ([step("backup.1", "x.intact", **NIGHTLY), step("restore.1", "postgres.restore", made={"manifest": "bb"})], False),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "x.y", "failed", made={"manifest": "aa"})], False),
        ([step("backup.1", "postgres.dump", **OWN), step("restore.1", "service.start")], False),
        ([step("backup.1", "x.y", location="s3://a"), step("restore.1", "x.y", made={"unknown": "no answer"})], False),
        ([of_source("2026-01-02T10:00:07.000Z")], True),
        ([of_source("2026-01-02T03:00:00.000Z")], False),
    ],
)
def test_a_backup_of_the_same_run_is_known_by_its_manifest_or_its_time(steps: list[StepResult], own: bool) -> None:
    assert remarks.own_backup(steps, STARTED) is own


def restored_nightly() -> Result:
    """The run that passed, as if it had restored a backup of another run."""
    found = samples.passed().result
    steps = [
        one.model_copy(update={"facts": one.facts | {"made": {"manifest": "bb"}}}) if one.id.startswith("restore.") else one
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
    assert plain(page).count(remarks.LEGEND) == 1
    assert f"RPO 12.90 s ± 0.11 s {MARK} ✓ met" in plain(page)
    assert "Detection (probe) 1.80 s ± 0.21 s ✓ met" in plain(page)
    lines = renderings.printed(summary.suite_details(suite, views)).splitlines()
    assert any("Detection (probe) 1.80 s ± 0.21 s: met" in line for line in lines)
    entry = index.entry(samples.passed().result.model_dump(mode="json", by_alias=True))
    listed = plain(index.render([entry]))
    assert listed.count(remarks.LEGEND) == 1
    assert f"12.90 s ± 0.11 s {MARK}" in listed
    nightly = index.render([index.entry(restored_nightly().model_dump(mode="json", by_alias=True))])
    assert MARK not in nightly


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
        assert f"noticed {by}" in plain(text)
    (row,) = [row for row in rows.rows_of(view.result) if row.key == "detect"]
    assert row.by == by.removeprefix("by the ").removeprefix("drill's ").removeprefix("last of the ")
    span = next(clock.span for clock in wording.clocks_of(view.result) if clock.key == "detection")
    assert span in plain(markdown.render(view))
    assert by.removeprefix("by ").removeprefix("the ") in span


def test_lost_writes_are_told_in_seconds_too() -> None:
    wanted = re.compile(r"129 of 208 acknowledged writes: numbers 86 to 214; RPO 12\.90 s ± 0\.11 s")
    for text in renderings.formats(samples.passed()).values():
        assert wanted.search(plain(text))
    unknown = samples.passed().result
    clocks = {key: value for key, value in unknown.clocks.items() if not key.startswith("rpo")}
    text = markdown.render(samples.view(unknown.model_copy(update={"clocks": clocks, "objectives": {}})))
    assert "numbers 86 to 214\n" in text
    assert "; RPO" not in text


def test_every_explanation_of_an_error_has_a_name_of_its_own() -> None:
    for view in (samples.passed(), samples.view(alerted(FIRED))):
        keys = [clock.key for clock in wording.clocks_of(view.result)]
        names = wording.error_notes(view.result, keys)
        assert len(set(names.values())) == len(names) == len({clock.error for clock in wording.clocks_of(view.result)})


def test_the_figure_of_an_objective_in_a_finding_has_its_error() -> None:
    for name, code in (("too_slow", "objective-missed"), ("failed", "objective-not-verified")):
        view = samples.recorded(name)
        found = [one for one in rows.findings_of(view.result) if one.code == code]
        assert found
        for one in found:
            (row,) = [row for row in rows.rows_of(view.result) if one.title.endswith(f": {row.key.upper()}")]
            assert one.measured.startswith(row.measured)
            assert "±" in row.measured
            assert one.measured in plain(markdown.render(view))
