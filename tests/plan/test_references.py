"""Expressions in a drill: each name in them is known when its step begins, or is refused at its place."""

from tests.plan.test_planner import made
from tests.plan.test_planner_cases import drill, refused


def test_what_is_saved_is_known_from_the_next_step_or_group_on(tmp_path):
    def saves(name, word="x"):
        return f'command.run: {{argv: [look, "{word}"], effect: read}}\n@  hosts: db-1\n@  save: {name}\n'

    def group(*steps):
        return "  - parallel:\n" + "".join("      - " + step.replace("@", "      ") for step in steps)

    def lines(*steps):
        return "".join("  - " + step.replace("@", "  ") for step in steps)

    good = (
        group(saves("one"), saves("two"))
        + group(saves("three", "{{ one.stdout }}"))
        + lines(saves("four", "{{ three.exit }}"))
    )
    plan = made(tmp_path, drill(backup=good))
    assert [(step.save, step.group is None) for step in plan.phase("backup")] == [
        ("one", False),
        ("two", False),
        ("three", False),
        ("four", True),
    ]
    assert plan.phase("backup")[0].group == plan.phase("backup")[1].group != plan.phase("backup")[2].group
    made(tmp_path, drill(backup=lines(saves("one")), detect=lines(saves("two", "{{ one.stdout }}"))))
    for wrong, message in (
        (
            group(saves("one"), saves("two", "{{ one.stdout }}")),
            "'one' has no value yet, because it is saved later, in line",
        ),
        (
            lines(saves("two", "{{ one.stdout }}"), saves("one")),
            "'one' has no value yet, because it is saved later, in line 12",
        ),
        (group(saves("one"), saves("one")), "the name 'one' is already used by backup.1"),
        (lines(saves("one"), saves("one")), "the name 'one' is already used by backup.1"),
    ):
        told, _, _ = refused(tmp_path, drill(backup=wrong))
        assert message in told


def test_what_is_written_in_groups_of_hosts_and_lists_is_looked_through(tmp_path):
    text = drill(
        backup='  - command.run: {argv: [look], effect: read, env: {A: "{{ services.apo.url }}"}}\n    hosts: db-1\n'
    )
    told, _, at = refused(tmp_path, text)
    assert "services has no 'apo'" in told
    assert at.startswith('"{{ services.apo')
    made(tmp_path, text.replace("services.apo.url", "hosts['db-1'].address"))
    made(tmp_path, text.replace("services.apo.url", "run.id.upper"))
    made(tmp_path, text.replace("{{ services.apo.url }}", "on {{ hosts['db-1'].address }}, for {{ run.id }}"))
