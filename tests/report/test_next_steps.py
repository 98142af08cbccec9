from __future__ import annotations

import pytest

from drillbook.report import html, markdown, next_steps, run_record, suite_steps
from tests.report import samples
from tests.report.test_agreement import HONEST, plain

RUN = samples.passed().result.run


@pytest.mark.parametrize("name", HONEST)
def test_findings_owner_and_next_step_stand_before_the_figures(name: str) -> None:
    view = samples.ALL[name]()
    page = html.render(view)
    places = [page.index(f'id="{one}"') for one in ("findings", "next", "objectives")]
    assert places == sorted(places)
    assert run_record.owner(view) in plain(page)
    for _, command in next_steps.in_report(view):
        assert command in plain(page)
        assert command in plain(markdown.render(view))


def test_commands_name_the_program_and_the_inventory_that_were_used() -> None:
    assert next_steps.in_report(samples.repeated()) == [
        ("repeat the drill", "drillbook drill postgres-lost --inventory staging"),
        ("verify this record", f"drillbook report.verify {RUN}"),
    ]
    commands = [command for _, command in next_steps.in_report(samples.recorded("stuck"))]
    assert commands[0].startswith("invoke drill.recover ")
    odd = samples.repeated().model_copy(update={"inventory": "x; rm -rf"})
    assert next_steps.in_report(odd)[0][1].endswith("--inventory 'x; rm -rf'")


def test_nothing_closed_is_recovered_again() -> None:
    assert not [command for _, command in next_steps.in_report(samples.recorded("closed")) if "recover" in command]


def passed(lab="", service="database", **changes):
    """A passed run whose RPO has a reservation. ``lab``: lab of its inventory, empty for an inventory of a team."""
    view = samples.passed()
    plan = {**view.plan, "inventory": {**view.plan["inventory"], "lab": lab}}
    result = view.result.model_copy(update={"service": service})
    return view.model_copy(update={"plan": plan, "result": result, **changes})


@pytest.mark.parametrize(
    ("routine", "step"),
    [
        (
            ("restore-newest", "rehearse-database"),
            ("see the age of a routine backup of database", "drillbook drill restore-newest"),
        ),
        (
            (),
            (
                "copy a drill that shows the age of a routine backup of database",
                "drillbook init --with routine-database",
            ),
        ),
        (None, None),
    ],
)
def test_a_reservation_names_the_drill_that_proves_a_routine_backup(routine, step) -> None:
    view = passed(routine=routine)
    assert next_steps.age_of_routine(view) == step
    assert (step in next_steps.in_report(view)) is (step is not None)
    if step:
        assert step[1] in plain(html.render(view))
        assert step[1] in markdown.render(view)
        suite, _ = samples.suite()
        assert suite_steps.in_suite(suite, [view, view]).count(step) == 1
        assert suite_steps.after_suite("invoke", suite, [view, view], "").count(step) == 1


@pytest.mark.parametrize(
    ("routine", "what", "command"),
    [
        (
            ("routine-database",),
            "see the age of a routine backup of {}",
            "drillbook drill routine-database --inventory NAME",
        ),
        ((), "choose a drill that restores one", "drillbook catalog --for postgres"),
    ],
)
def test_a_lab_without_routine_backups_gets_no_command_that_must_fail(routine, what, command) -> None:
    view = passed("embedded", routine=routine)
    assert next_steps.age_of_routine(view) is None
    said = "the lab keeps no routine backups of {}; with an inventory of your own, {}"
    steps = next_steps.in_report(view)
    assert (said.format("database", what.format("database")), command) in steps
    assert "drillbook drill routine-database" not in dict(map(reversed, steps))
    assert not [command for _, command in steps if "init --with" in command], "the copy could not work in the lab"
    for page in (html.render(view), markdown.render(view)):
        assert plain(page).casefold().count("the lab keeps no routine backups of database; ") == 1
    suite, _ = samples.suite()
    views = [view, view, passed("embedded", "other", routine=routine)]
    asked = [said.format(service, what.format(service)) for service in ("database", "other")]
    assert [text for text, _ in suite_steps.in_suite(suite, views) if "routine" in text] == asked
    assert not [text for text, _ in suite_steps.after_suite("invoke", suite, views, "") if "routine" in text]


def test_the_terminal_names_the_services_that_the_lab_has_no_routine_backup_of_beside_the_others() -> None:
    known = passed("embedded", "cache", routine=("routine-cache",))
    steps = [
        step.model_copy(update={"action": "redis.restore"}) if step.action == "postgres.restore" else step
        for step in known.result.steps
    ]
    known = known.model_copy(update={"result": known.result.model_copy(update={"steps": tuple(steps)})})
    suite, _ = samples.suite()
    views = [passed("embedded", routine=()), known]
    told = [step for step in suite_steps.after_suite("drillbook", suite, views, "lab") if "routine" in step[0]]
    said = "after the next routine backup of cache, see its age (the lab keeps none of database)"
    assert told == [(said, "drillbook drill routine-cache")]
    own = "with an inventory of your own, choose a drill that restores one"
    assert [text for text, _ in suite_steps.in_suite(suite, views) if "routine" in text] == [
        "after the next routine backup of cache, see its age",
        f"the lab keeps no routine backups of database; {own}",
    ]


def test_a_lab_has_the_routine_backups_that_a_server_writes_itself() -> None:
    view = passed("embedded", routine=("routine-cache",))
    steps = [
        step.model_copy(update={"action": "redis.restore"}) if step.action == "postgres.restore" else step
        for step in view.result.steps
    ]
    view = view.model_copy(update={"result": view.result.model_copy(update={"steps": tuple(steps)})})
    assert next_steps.age_of_routine(view) == (
        "after the next routine backup of database, see its age",
        "drillbook drill routine-cache",
    )


def test_one_drill_of_a_routine_backup_is_enough_for_a_service() -> None:
    view = passed(routine=())
    steps = [
        step.model_copy(update={"action": "postgres.restore_table"}) if step.action == "postgres.restore" else step
        for step in view.result.steps
    ]
    other = view.model_copy(update={"result": view.result.model_copy(update={"steps": tuple(steps)})})
    assert next_steps.age_of_routine(other)[1] == "drillbook init --with routine-database"
    suite, _ = samples.suite()
    said = [text for text, _ in suite_steps.after_suite("invoke", suite, [view, other], "")]
    assert said.count("copy a drill that shows the age of a routine backup of database") == 1


def test_a_drill_is_to_be_written_where_the_catalogue_has_none() -> None:
    assert next_steps.to_write("drillbook", "site", "files.restore") == (
        "write a drill that restores a routine backup of site; to read how a drill writes this step",
        "drillbook actions files.restore",
    )
    assert next_steps.to_write("drillbook", "own", "")[1] == "drillbook actions"
    assert next_steps.to_write("drillbook", "db", "postgres.restore", ("routine-database",)) == (
        "write a drill that restores a routine backup of db; to read how a drill writes this step",
        "drillbook actions postgres.restore",
    ), "the project has the drill of the catalogue, and it does not show the age of a routine backup"


def test_without_a_reservation_no_drill_is_suggested() -> None:
    view = samples.recorded("failed").model_copy(update={"routine": ("restore-newest",)})
    assert next_steps.age_of_routine(view) is None
    view = samples.recorded("unprobed").model_copy(update={"routine": ("restore-newest",)})
    assert next_steps.age_of_routine(view) is None
