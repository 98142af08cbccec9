"""Missed drills in an audit: computed from the schedules in the journals, not from the current drill files."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from drillbook.audit import content, html, markdown, records
from drillbook.audit.alert_causes import alerts
from drillbook.audit.missed_drills import MissedRow, never_ran
from drillbook.audit.period import Period
from drillbook.cli import audit as desk
from drillbook.journal.run_state import RunState, RunStates
from drillbook.plan.schedule import State
from drillbook.project import due, finished_runs, newest_runs, recorded_schedules, schedule_record, schedules
from drillbook.project.needed_inventories import Inventories, Listed
from drillbook.project.project import Project
from drillbook.project.schedule_record import NOT_BEGUN, Entry
from drillbook.project.schedules import Scheduled
from drillbook.report import publish
from drillbook.values import Duration
from tests.audit.stories import REHEARSE, SITE, Book
from tests.audit.test_assurance import EMPTY
from tests.judge.story import DRILL
from tests.plan.test_planner import HOSTS
from tests.report.test_agreement import plain

WEEKLY = DRILL.replace("service: api", "service: api\nevery: 7d\ngrace: 1d", 1)


def missed(book, since="2026-01-01", until="2026-12-31", today=date(2027, 1, 1)):
    found, strays = records.find(book.reports)
    return content.make(found, strays, Period.parse(since, until), today=today, scheduled=schedule_record.read(book.reports))


def spans(made):
    return [(row.kind, row.due, row.since, row.until[:19]) for row in made.missed]


def test_a_gap_is_a_span_from_the_end_of_the_grace_to_the_next_pass(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    book.run("2026-03-08T09:00:00", text=WEEKLY).good().close()
    book.run("2026-03-16T08:59:00", text=WEEKLY).refused().close()
    book.run("2026-03-20T09:00:00", text=WEEKLY).good().close()
    spent = ("overdue", "2026-03-15T09:00:00Z", "2026-03-16T09:00:00Z", "2026-03-20T09:00:00")
    still = ("overdue", "2026-03-27T09:00:00Z", "2026-03-28T09:00:00Z", "")
    assert spans(missed(book)) == [spent, still]
    assert spans(missed(book, until="2026-03-25")) == [spent]
    assert spans(missed(book, since="2026-03-21")) == [still]
    assert spans(missed(book, today=date(2026, 3, 27))) == [spent]
    assert missed(book).missed[0].run.endswith("-sample-0001")


def test_a_longer_schedule_of_later_runs_does_not_hide_a_gap(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    book.run("2026-03-20T09:00:00", text=WEEKLY.replace("7d", "90d")).good().close()
    assert spans(missed(book, today=date(2026, 4, 1))) == [
        ("overdue", "2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z", "2026-03-20T09:00:00")
    ]


def test_a_drill_that_never_passed_is_missed_from_its_first_run(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).refused().close()
    assert spans(missed(book)) == [("never passed", "", "2026-03-02T09:00:00.000000Z", "")]
    book.run("2026-03-04T09:00:00", text=WEEKLY).good().close()
    assert spans(missed(book))[0] == ("never passed", "", "2026-03-02T09:00:00.000000Z", "2026-03-04T09:00:00")


def test_an_overdue_drill_is_due_by_its_schedule_whatever_failed(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    book.run("2026-03-04T09:00:00", text=WEEKLY).refused().close()
    book.run("2026-03-05T09:00:00", text=WEEKLY).slow().close()
    book.run("2026-03-06T09:00:00", text=WEEKLY).slow().close()
    assert spans(missed(book)) == [("overdue", "2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z", "")]


def test_without_a_schedule_nothing_is_missed(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00").good().close()
    assert missed(book).missed == ()


def test_runs_that_could_not_begin_and_a_damaged_record_are_listed(tmp_path):
    book = Book(tmp_path)
    entry = Entry("2026-03-02T09:00:00Z", NOT_BEGUN, "sample", "api", "lab", "", "no inventory <b>")
    schedule_record.append(book.reports, entry)
    made = missed(book)
    assert made.missed == (
        MissedRow("not begun", "lab", "api", "sample", "", entry.at, "", "", "schedule.jsonl", "no inventory <b>"),
    )
    path = book.reports / schedule_record.FILE
    path.write_bytes(path.read_bytes() + b'{"at":"2026-03-0')  # a program died in the middle of a line
    torn = missed(book)
    assert (torn.missed, torn.schedule_damage) == (made.missed, "")
    for page in (markdown.render(torn), html.render(torn)):
        assert "The record of missed drills: the last line of schedule.jsonl is incomplete and ignored" in page
    path.write_bytes(path.read_bytes().replace(b"no inventory", b"an inventory"))
    assert missed(book).schedule_damage.startswith("schedule.jsonl:1:")


def test_the_moment_of_the_audit_is_now_for_a_period_that_has_not_ended(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    found, strays = records.find(book.reports)
    future = Period.parse("2026-01-01", f"{datetime.now(UTC).year + 1}-12-31")
    assert len(content.make(found, strays, future).missed) == 1


def audited(book, today=date(2026, 3, 24), until=date(2026, 3, 31)):
    project = Project(book.root)
    found, strays = records.find(book.reports)
    return content.make(
        found,
        strays,
        Period(date(2026, 3, 1), until),
        today=today,
        scheduled=schedule_record.read(book.reports),
        wanted=schedules.read(project),
        services=due.services(project, newest_runs.read(list(project.runs()), project, RunStates())),
    )


def finished(run):
    publish.write_run(run.close().folder, finished_runs.judged(RunState(run.folder)))


@pytest.mark.parametrize(
    ("first", "later", "state", "until", "why"),
    [
        (
            "30d",
            "7d",
            State.OVERDUE,
            "",
            "by the schedule in the present file of the drill, every 7 d with a grace of 1 d: the newest schedule in the record is every 30 d with a grace of 1 d",
        ),
        (
            "7d",
            "30d",
            State.OK,
            "2026-03-24T23:59:59",
            "the schedule of the drill was changed to every 30 d with a grace of 1 d; the record does not tell when",
        ),
    ],
)
def test_a_change_that_nobody_noted_is_judged_by_both_schedules_and_told(tmp_path, first, later, state, until, why):
    book = Book(tmp_path)
    finished(book.run("2026-03-02T09:00:00", text=WEEKLY.replace("7d", first)).good())
    (tmp_path / "drills" / "sample.yml").write_text(WEEKLY.replace("7d", later))
    (row,) = [row for row in due.read(Project(tmp_path), datetime(2026, 3, 24, tzinfo=UTC)).rows if row.drill]
    assert row.state is state
    made = audited(book)
    assert spans(made) == [("overdue", "2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z", until)]
    assert made.missed[0].why == why
    assert why in " ".join(re.sub("<[^>]*>", "", html.render(made)).split())
    if state is State.OVERDUE:
        assert row.overdue_since == made.missed[0].since
    past = audited(book, today=date(2026, 5, 1), until=date(2026, 3, 12))
    record_alone = [("overdue", "2026-03-10T09:00:00Z")] if first == "7d" else []
    assert [(row.kind, row.since) for row in past.missed] == record_alone


def test_a_change_is_noted_once_and_ends_or_begins_an_alarm_at_that_time(tmp_path):
    book, project = Book(tmp_path), Project(tmp_path)
    path, noted = tmp_path / "drills" / "sample.yml", datetime(2026, 3, 15, 12, tzinfo=UTC)
    finished(book.run("2026-03-02T09:00:00", text=WEEKLY).good())
    path.write_text(WEEKLY)
    recorded_schedules.note(project, noted)
    assert schedule_record.read(book.reports).entries == []
    path.write_text(WEEKLY.replace("7d", "30d"))
    for _ in range(2):
        recorded_schedules.note(project, noted)
    ((entry,), damage, _) = schedule_record.read(book.reports)
    assert (entry.kind, entry.subject, damage) == ("schedule", ("sample", "lab"), "")
    (row,) = audited(book).missed
    assert (row.since, row.until, row.why) == (
        "2026-03-10T09:00:00Z",
        "2026-03-15T12:00:00Z",
        "the schedule of the drill was changed to every 30 d with a grace of 1 d",
    )
    path.unlink()
    recorded_schedules.note(project, datetime(2026, 3, 16, tzinfo=UTC))
    path.write_text(WEEKLY.replace("7d", "5d"))
    recorded_schedules.note(project, datetime(2026, 3, 17, tzinfo=UTC))
    assert [(row.since, row.until) for row in audited(book).missed] == [
        ("2026-03-10T09:00:00Z", "2026-03-15T12:00:00Z"),
        ("2026-03-17T00:00:00Z", ""),
    ]
    (row,) = [row for row in due.read(project, datetime(2026, 3, 24, tzinfo=UTC)).rows if row.drill]
    assert (row.state, row.overdue_since) == (State.OVERDUE, "2026-03-17T00:00:00Z")


def test_a_change_is_noted_once_although_the_clock_is_behind_the_record(tmp_path):
    book, project, path = Book(tmp_path), Project(tmp_path), tmp_path / "drills" / "sample.yml"
    finished(book.run("2026-03-02T09:00:00", text=WEEKLY).good())  # of a controller whose clock is ahead
    path.write_text(WEEKLY.replace("7d", "5d"))
    for hour in (7, 8):
        recorded_schedules.note(project, datetime(2026, 3, 2, hour, tzinfo=UTC))
    ((entry,), _, _) = schedule_record.read(book.reports)
    assert entry.at == "2026-03-02T09:00:00.000000Z"
    recorded_schedules.note(project, datetime(2026, 3, 3, tzinfo=UTC))
    path.write_text(WEEKLY.replace("7d", "9d"))
    for _ in range(2):
        recorded_schedules.note(project, datetime(2026, 3, 1, tzinfo=UTC))
    assert [one.schedule["every"] for one in schedule_record.read(book.reports)[0]] == ["5d", "9d"]
    (row,) = [row for row in due.read(project, datetime(2026, 3, 24, tzinfo=UTC)).rows if row.drill]
    assert (row.state, row.overdue_since) == (State.OVERDUE, "2026-03-12T09:00:00Z")
    assert [(row.since, row.until) for row in audited(book).missed] == [(row.overdue_since, "")]


def test_two_branches_over_one_record_note_one_line_for_each_change_seen(tmp_path):
    book, project, path = Book(tmp_path), Project(tmp_path), tmp_path / "drills" / "sample.yml"
    finished(book.run("2026-03-02T09:00:00", text=WEEKLY).good())
    seen = ("5d", "", "5d", "6d")
    for number, every in enumerate(seen):
        path.write_text(WEEKLY.replace("7d", every)) if every else path.unlink()
        for day in (20 - number, 10 - number):  # the clocks of the two differ
            recorded_schedules.note(project, datetime(2026, 3, day, tzinfo=UTC))
    entries, damage, _ = schedule_record.read(book.reports)
    assert [(one.schedule or {}).get("every", "") for one in entries] == list(seen)
    assert damage == ""


def test_a_service_whose_drills_pass_and_prove_nothing_is_listed_on_every_page(tmp_path, capsys):
    book = Book(tmp_path)
    proves = REHEARSE.replace("service: site", "service: site\nevery: 7d\ngrace: 1d", 1)
    finished(book.run("2026-03-02T09:00:00", drill="rehearse", text=proves, hosts=SITE).rehearsal())
    looks = proves.split("restore:")[0] + "verify:\n  - backup.measure: {service: nightly}\n"
    for day in ("08", "15", "22"):
        run = book.run(f"2026-03-{day}T09:00:00", drill="rehearse", text=looks, hosts=SITE).phase(0.5, 1.0, "backup")
        run.add(6.0, "phase.started", phase="verify")
        run.step(6.5, 7.0, "verify.1", "spare-1", backup="www", loss_s=1.0, error_s=1.0, basis="x")
        finished(run.add(8.0, "phase.ended", phase="verify", status="done").end())
    (tmp_path / "drills" / "rehearse.yml").write_text(looks)
    made = audited(book)
    (row,) = made.missed
    assert (row.kind, row.service, row.drill, row.since, row.until) == ("overdue", "site", "", "2026-03-10T09:00:00Z", "")
    assert [(one["service"], one["since"]) for one in content.as_data(made)["missed"]] == [("site", row.since)]
    for page in (html.render(made), markdown.render(made)):
        assert "the service site" in page
        assert "not proven since" in page
    desk._print(made, tmp_path)
    assert "Overdue: the service site in lab since 2026-03-10." in " ".join(capsys.readouterr().out.split())
    assert [one.step for one in alerts(made) if "The service site in lab has been overdue" in one.text] == [
        "run a drill that restores the service"
    ]
    finished(book.run("2026-03-23T09:00:00", drill="rehearse", text=proves, hosts=SITE).rehearsal())
    made = audited(book)
    assert [row.until[:19] for row in made.missed] == ["2026-03-23T09:00:00"]
    desk._print(made, tmp_path)
    assert "Overdue" not in capsys.readouterr().out


def test_drills_and_suites_that_never_ran_are_listed_by_their_files(tmp_path):
    book = Book(tmp_path)
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    for name in ("sample", "never", "whenever"):
        text = (DRILL if name == "whenever" else WEEKLY).replace("drill: sample", f"drill: {name}")
        (tmp_path / "drills" / f"{name}.yml").write_text(text)
    (tmp_path / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 30d\ndrills: [sample, never]\n")
    found, strays = records.find(book.reports)
    period, wanted = Period.parse("2026-03-01", "2026-03-05"), schedules.read(Project(tmp_path))
    made = content.make(found, strays, period, today=date(2026, 3, 5), wanted=wanted)
    assert [(row.kind, row.drill, row.service) for row in made.missed] == [
        ("never ran", "all", "api"),
        ("never ran", "never", "api"),
    ]
    assert "every 7 d" in made.missed[1].why
    assert {row.environment for row in made.missed} == {"lab"}
    assert markdown.render(made).count("no run in the record") == 2
    assert markdown.render(made).count("never ran** (suite)") == 1
    never = html.render(made).split("<h3>Never ran</h3>")[1].split("</dl>")[0]
    assert re.findall(r"<dd class=\"soft\">(.*?)</dd>", never) == ["<bdi>all</bdi> (suite)", "<bdi>never</bdi>"]
    missed = plain(html.render(made)).partition("Never ran")[0]
    assert "no drill that has run and no proof of a service was overdue in this period; but 1 drill and 1 suite" in missed
    assert "with a schedule never ran, so they are due now (drillbook drill.due --all lists them)." in missed
    assert "no drill and no proof" not in missed
    assert "1 drill and 1 suite never ran, although the schedule asks for it: all and never" in [
        one.text for one in alerts(made)
    ]
    assert "run them (`drillbook drill.due --all` lists them)" in [one.step for one in alerts(made)]
    entry = Entry("2026-03-02T09:00:00Z", NOT_BEGUN, "never", "api", "lab", "", "no inventory")
    made = content.make(found, strays, period, today=date(2026, 3, 5), wanted=wanted, scheduled=([entry], "", ""))
    assert [(row.kind, row.drill) for row in made.missed] == [("not begun", "never"), ("never ran", "all")]


def test_a_drill_that_never_ran_is_missing_in_the_environments_of_the_record_alone(tmp_path):
    """Its file also permits staging. No run of anything was there, so nobody waits for a run there."""
    Book(tmp_path)
    guard = "guard: {environments: [lab, staging]}\n"
    (tmp_path / "drills" / "never.yml").write_text(WEEKLY.replace("drill: sample", "drill: never") + guard)
    (wanted,) = schedules.read(Project(tmp_path))

    def where(*used, retired=()):
        (row,) = never_ran([wanted], {("sample", place) for place in used}, (), retired)
        return row.environment

    assert where("lab", "production") == "lab"
    assert where("lab", "staging") == "lab, staging", "it is to run in both"
    assert where("docker-lab", "lab") == "docker-lab"
    assert where("production") == "lab or staging", "one of them suffices"
    assert where("lab", "production", retired={"lab"}) == "staging"


def test_a_drill_whose_services_are_in_another_inventory_never_ran_there_and_not_in_the_lab():
    """`drill.list` lists it as a drill that needs another inventory, so the audit must not name it an omission of the lab."""
    wanted = Scheduled("volume", services=("files",), environments=("lab", "staging"), every=Duration.parse("30d"))
    lab = Listed("lab", "lab", True, frozenset(["api"]))
    docker = Listed("docker", "docker-lab", True, frozenset(["files"]))
    own = Listed("shop", "staging", False, frozenset(["files"]))

    def row(*listed):
        (found,) = never_ran([wanted], {("sample", "lab")}, (), inventories=Inventories("lab", listed))
        return found.environment, found.needs

    assert row(lab, docker) == ("docker-lab", "the inventory docker")
    assert row(lab, docker, own) == ("staging", "the inventory shop")
    assert row(lab) == ("any", "an inventory with the service files")
    assert row(replace(lab, services=frozenset(["files"])), docker) == ("lab", "")
    bare = replace(lab, services=frozenset(["files"]), missing={"files": "the Docker lab"})
    assert row(bare, docker) == ("docker-lab", "the inventory docker"), "the lab names the service, but cannot run it"
    assert row(bare) == ("lab", ""), "an installation is no other inventory"
    assert row(docker) == ("lab", ""), "the record has a lab, and the project has no inventory of it"
    (found,) = never_ran([wanted], {("sample", "lab")}, (), inventories=Inventories("lab", (lab, docker)))
    assert found.why.endswith("has no such run; it needs the inventory docker")
    other = replace(found, drill="other", needs="")
    (alert,) = [alert for alert in alerts(replace(EMPTY, missed=(found, other))) if "never ran" in alert.text]
    assert alert.step == "run them (`drillbook drill.due --all` lists them; 1 of them needs another inventory)"


def test_a_drill_that_ran_in_staging_alone_never_ran_in_production(tmp_path):
    book = Book(tmp_path)
    guard = "guard: {environments: [staging, lab, production]}\n"
    weekly, other = WEEKLY + guard, DRILL.replace("drill: sample", "drill: other") + guard
    book.run(
        "2026-03-02T09:00:00", text=weekly, hosts=HOSTS.replace("environment: lab", "environment: staging")
    ).good().close()
    book.run("2026-03-02T10:00:00", drill="other", text=other, hosts=HOSTS).good().close()
    (tmp_path / "drills" / "sample.yml").write_text(weekly)
    found, strays = records.find(book.reports)
    period, wanted = Period.parse("2026-03-01", "2026-03-05"), schedules.read(Project(tmp_path))
    made = content.make(found, strays, period, today=date(2026, 3, 5), wanted=wanted)
    (row,) = made.missed
    assert (row.kind, row.drill, row.environment, row.elsewhere) == ("never ran", "sample", "lab", "staging")
    assert "no such run in lab, only in staging" in row.why
    assert [one.text for one in alerts(made) if "never ran" in one.text] == [
        "1 drill never ran in lab, but ran elsewhere, although the schedule asks for it: sample"
    ], "no run of anything was in production"


def test_a_drill_that_ran_in_the_docker_lab_need_not_run_in_the_embedded_lab(tmp_path):
    book = Book(tmp_path)
    guard = "guard: {environments: [lab, staging]}\n"
    in_docker = HOSTS.replace("environment: lab", "environment: docker-lab\nlab: docker")
    book.run("2026-03-02T09:00:00", text=WEEKLY + guard, hosts=in_docker).good().close()
    for day, place in (("03", "lab"), ("04", "staging")):
        hosts = HOSTS.replace("environment: lab", f"environment: {place}")
        other = DRILL.replace("drill: sample", "drill: other") + guard
        book.run(f"2026-03-{day}T10:00:00", drill="other", text=other, hosts=hosts).good().close()
    (tmp_path / "drills" / "sample.yml").write_text(WEEKLY + guard)
    found, strays = records.find(book.reports)
    period, wanted = Period.parse("2026-03-01", "2026-03-05"), schedules.read(Project(tmp_path))
    made = content.make(found, strays, period, today=date(2026, 3, 5), wanted=wanted)
    assert [(row.kind, row.environment, row.elsewhere) for row in made.missed] == [("never ran", "staging", "docker-lab")]


def test_a_drill_that_moved_to_the_docker_lab_is_not_due_in_lab_any_more(tmp_path):
    """The inventory of the Docker lab was changed from `lab` to `docker-lab`. `drill.due` and the audit agree."""
    book, project, now = Book(tmp_path), Project(tmp_path), datetime(2026, 3, 24, tzinfo=UTC)
    (tmp_path / "drills" / "sample.yml").write_text(WEEKLY)

    def ran(at, environment, lab):
        hosts = HOSTS.replace("environment: lab", f"environment: {environment}\nlab: {lab}")
        finished(book.run(at, text=WEEKLY, hosts=hosts).good())

    def rows():
        return {row.environment: row.state for row in due.read(project, now).rows if row.drill}

    ran("2026-03-02T09:00:00", "lab", "docker")
    assert rows() == {"lab": State.OVERDUE}
    ran("2026-03-20T09:00:00", "docker-lab", "docker")
    assert rows() == {"docker-lab": State.OK}
    (row,) = audited(book).missed
    assert (row.environment, row.since, row.until[:10]) == ("lab", "2026-03-10T09:00:00Z", "2026-03-24")
    recorded_schedules.note(project, datetime(2026, 3, 21, tzinfo=UTC))
    (row,) = audited(book).missed
    assert (row.until, row.why) == ("2026-03-21T00:00:00Z", "the drill has no schedule in this environment any more")
    assert rows() == {"docker-lab": State.OK}
    ran("2026-03-22T09:00:00", "lab", "embedded")
    recorded_schedules.note(project, datetime(2026, 3, 23, tzinfo=UTC))
    assert rows() == {"docker-lab": State.OK, "lab": State.OK}
    (row,) = audited(book).missed
    assert (row.environment, row.until) == ("lab", "2026-03-21T00:00:00Z")


def test_runs_of_the_embedded_lab_do_not_move_to_the_docker_lab(tmp_path):
    book, project = Book(tmp_path), Project(tmp_path)
    (tmp_path / "drills" / "sample.yml").write_text(WEEKLY)
    for day, place in (("02", "lab\nlab: embedded"), ("20", "docker-lab\nlab: docker")):
        hosts = HOSTS.replace("environment: lab", f"environment: {place}")
        finished(book.run(f"2026-03-{day}T09:00:00", text=WEEKLY, hosts=hosts).good())
    rows = due.read(project, datetime(2026, 3, 24, tzinfo=UTC)).rows
    assert {row.environment: row.state for row in rows if row.drill} == {"docker-lab": State.OK, "lab": State.OVERDUE}
    assert [(row.environment, row.until) for row in audited(book).missed] == [("lab", "")]


@pytest.mark.parametrize(("lab", "listed"), [(True, []), (False, ["never passed"])])
def test_a_drill_that_could_only_fail_in_the_lab_is_not_missed_there(tmp_path, lab, listed):
    """As in `drill.due`, where it is not here. Its run that did not pass has its own entry."""
    book = Book(tmp_path)
    text = WEEKLY.replace("drill: sample", "drill: routine-database")
    book.run("2026-03-02T09:00:00", drill="routine-database", text=text).refused().close()
    (found, *_), strays = records.find(book.reports)
    drill = Scheduled("routine-database", services=("database",), every=Duration.parse("7d"))
    made = content.make(
        [found],
        strays,
        Period.parse("2026-01-01", "2026-12-31"),
        today=date(2027, 1, 1),
        wanted=[drill],
        inventories=Inventories("lab", (Listed("lab", found.environment, lab, frozenset({"database"})),)),
    )
    assert [row.kind for row in made.missed] == listed
    assert [row.verdict for row in made.runs] == ["refused"]
