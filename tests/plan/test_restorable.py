"""Runbooks that do not restore lost data are refused at planning time, with the wrong line."""

import pytest

from drillbook.engine.steps import build
from drillbook.errors import PlanError
from drillbook.plan.step_roles import lost_service, proves
from drillbook.sdk.action import Effect
from tests.plan.test_planner import CLUSTER, LOST, TWO_BUCKETS, WITH_DATABASE, made
from tests.program import Folder

SITE = WITH_DATABASE.replace("bucket: b,", "bucket: backups,").replace(
    "contacts:",
    """\
  same: {kind: postgres, host: db-1, port: 5432, database: dpa, user: dpa, password: !env P, admin: {user: postgres},
    data_directory: /var/lib/pg/main}
  spare: {kind: postgres, host: db-2, port: 5432, database: dpa, user: dpa, password: !env P, admin: {user: postgres},
    data_directory: /var/lib/pg/main}
contacts:""",
)
RESTORE = '  - postgres.restore: {service: database, from: "{{ dump.location }}"}\n'
PROOF = '  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}\n'
MATCHES = '  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}\n'
FREE = """\
  - command.run:
      argv: [sh, -c, "restore $1", sh, "{{ dump.location }}"]
      effect: write
      restores: {service: SERVICE, from: "FROM"}
    hosts: db-1
"""
ROWS = """\
drill: sample
title: A table is lost
service: database
backup:
  - postgres.dump: {service: database, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/dump"}
    save: dump
  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}
inject:
  - postgres.drop_table: {service: database, table: chunks}
restore:
  - postgres.restore_table: {service: database, table: public.chunks, from: "{{ dump.location }}"}
verify:
  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}", tables: [public.chunks]}
"""


def free(service="database", origin="{{ dump.location }}"):
    return FREE.replace("SERVICE", service).replace("FROM", origin)


def changed(old, new, text=CLUSTER):
    assert text.count(old) == 1
    return text.replace(old, new)


def refused(tmp_path, text, marked, message, hint=""):
    """Assert that the plan is refused, at the line that contains ``marked``."""
    with pytest.raises(PlanError) as told:
        made(tmp_path, text, SITE)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if marked in line)
    assert (told.value.where.line, message in told.value.message) == (line, True), str(told.value)
    assert hint in told.value.hint, str(told.value)


RIGHT = 'write `postgres.restore: {service: database, from: "{{ dump.location }}"}`, or a custom command with `restores: '
WRONG = {
    "starts-a-service": (
        "  - service.restart: {service: api}\n",
        "service.restart",
        "does not declare `restores`",
    ),
    "does-nothing": (
        "  - command.run: {argv: ['true'], effect: write}\n    hosts: db-1\n",
        "command.run",
        "does not declare `restores`",
    ),
    "another-service": (
        RESTORE.replace("database", "spare"),
        "postgres.restore",
        "the step restores 'spare', but the lost data belongs to 'database'",
    ),
    "a-place-that-does-not-exist": (
        RESTORE.replace("{{ dump.location }}", "s3://nowhere/at/all"),
        "postgres.restore",
        "a backup that no step of this drill verifies: s3://nowhere/at/all",
    ),
    "another-step": (
        RESTORE.replace("dump", "archive"),
        'postgres.restore: {service: database, from: "{{ archive',
        "the step cannot restore from the backup that",
    ),
    "another-kind": (
        '  - files.extract: {service: database, from: "{{ archive.location }}"}\n',
        "files.extract",
        "the step cannot restore from the backup that postgres.backup_intact verifies",
    ),
    "may-be-skipped": (
        "  - service.restart: {service: api}\n" + RESTORE + "    when: 1 > 2\n",
        "postgres.restore",
        "the step may be skipped or fail",
    ),
    "may-fail": (
        "  - service.restart: {service: api}\n" + RESTORE + "    allow_failure: now and then\n",
        "postgres.restore",
        "the step may be skipped or fail",
    ),
    "on-another-host": (
        RESTORE + "    hosts: db-2\n",
        "postgres.restore",
        "the step restores on db-2, but the data is lost on db-1",
    ),
    "a-command-for-another-service": (
        free("spare"),
        "command.run:",
        "the step restores 'spare', but the lost data belongs to 'database'",
    ),
    "a-command-from-an-unproven-backup": (
        free(origin="s3://backups/newest"),
        "restores:",
        "that no step of this drill verifies: s3://backups/newest",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_runbook_that_does_not_restore_what_is_lost_is_refused_at_its_line(tmp_path, name):
    restore, marked, message = WRONG[name]
    if name == "another-step":
        message = "that no step of this drill verifies: {{ archive.location }}"
        text = changed(
            '  - files.backup_intact: {service: database, from: "{{ archive.location }}"}\n', "", changed(RESTORE, restore)
        )
    else:
        text = changed(RESTORE, restore)
    refused(tmp_path, text, marked, message, RIGHT)


@pytest.mark.parametrize(
    "restore",
    [
        RESTORE,
        RESTORE.replace("service: database", "service: same"),
        free(),
        free("same"),
        RESTORE.replace("{{ dump.location }}", "s3://backups/{{ run.id }}/dump"),
        "  - service.restart: {service: api}\n" + RESTORE,
        RESTORE + '  - postgres.restore: {service: spare, from: "s3://backups/another/day"}\n',
    ],
    ids=[
        "its-own",
        "another-name-of-it",
        "a-command",
        "a-command-for-another-name",
        "the-place-itself",
        "with-others",
        "and-a-restore-elsewhere",
    ],
)
def test_a_restore_of_what_is_lost_from_the_proven_backup_is_planned(tmp_path, restore):
    assert made(tmp_path, changed(RESTORE, restore), SITE).phase("inject")[0].restore_only


def test_a_second_restore_from_a_backup_that_nobody_proved_is_refused(tmp_path):
    more = RESTORE + '  - postgres.restore: {service: same, from: "s3://backups/another/day"}\n'
    refused(tmp_path, changed(RESTORE, more), "service: same", "from a backup that no step of this drill verifies", RIGHT)


@pytest.mark.parametrize(
    ("verify", "accepted"),
    [
        (MATCHES, True),
        (MATCHES.replace("database", "same"), True),
        ("  - service.status: {service: api}\n", False),
        (MATCHES.replace("database", "spare"), False),
        (MATCHES + "    when: 1 > 2\n", False),
        (MATCHES + "    allow_failure: now and then\n", False),
        (MATCHES.replace("dump.manifest", "archive.manifest"), False),
        (MATCHES.replace("}\n", ", tables: [chunks]}\n"), False),
    ],
    ids=[
        "compared",
        "another-name-of-it",
        "looked-at",
        "another-service",
        "may-be-skipped",
        "may-fail",
        "another-backup",
        "a-part",
    ],
)
def test_what_a_command_restores_is_compared(tmp_path, verify, accepted):
    text = changed(RESTORE, free()).replace(MATCHES, verify)
    if accepted:
        made(tmp_path, text, SITE)
    else:
        refused(
            tmp_path,
            text,
            "restores:",
            "no step of `verify` is certain to compare the restored content with the backup",
            "add `postgres.matches` for that service",
        )


def test_all_mistakes_around_a_fault_are_told_at_once(tmp_path):
    text = ROWS.partition("backup:\n")[0] + "inject:" + ROWS.partition("inject:")[2].partition("restore:\n")[0]
    with pytest.raises(PlanError) as caught:
        made(tmp_path, text, SITE)
    told = [caught.value.message, *(error.message for error in caught.value.others)]
    assert [message.rpartition(" has ")[2] for message in told] == ["no backup phase", "no restore phase", "no verify phase"]
    unsure = changed(PROOF, PROOF.replace("}\n", "}\n    when: 1 > 2\n"), ROWS)
    unsure = changed('from: "{{ dump.location }}"}\nverify', 'from: "{{ dump.location }}"}\n    when: 1 > 2\nverify', unsure)
    with pytest.raises(PlanError) as caught:
        made(tmp_path, unsure, SITE)
    told = [caught.value.message, *(error.message for error in caught.value.others)]
    assert ["is certain to write" in message for message in told] == [True, False]
    assert "postgres.backup_intact may be skipped" in told[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("database", "spare", "postgres.backup_intact verifies a backup of 'spare', but inject.1 destroys 'database'"),
        ("}\n", "}\n    allow_failure: it is big\n", "postgres.backup_intact may be skipped or fail"),
        ("}\n", "}\n    when: 1 > 2\n", "postgres.backup_intact may be skipped or fail"),
        (
            "{{ dump.location }}",
            "s3://backups/yesterday",
            "postgres.backup_intact does not read a backup that a step of this drill is certain to make",
        ),
    ],
    ids=["of-another-service", "may-fail", "may-be-skipped", "of-another-backup"],
)
def test_a_proof_that_is_none_is_told_at_its_line(tmp_path, old, new, message):
    text = changed(PROOF, PROOF.replace(old, new))
    refused(tmp_path, text, "postgres.backup_intact", f"or a backup of a backup source: {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "service: database, table: public.chunks",
            "service: database, table: documents",
            "the step has the table 'documents', but inject.1 destroys the table 'chunks'",
        ),
        (
            "postgres.restore_table: {service: database, table: public.chunks,",
            "postgres.restore: {service: database,",
            "the step cannot restore from the backup that postgres.backup_intact verifies",
        ),
    ],
    ids=["another-table", "the-whole-database"],
)
def test_the_very_part_that_is_lost_is_restored(tmp_path, old, new, message):
    made(tmp_path, ROWS, SITE)
    refused(
        tmp_path,
        changed(old, new, ROWS),
        new,
        message,
        '`postgres.restore_table: {service: database, table: chunks, from: "{{ dump.location }}"}`',
    )


def test_objects_are_restored_by_a_prefix_that_covers_what_is_lost(tmp_path):
    good = LOST.replace("BUCKET", "backups")
    restore = '  - s3.restore: {service: originals, from: "{{ copy.location }}"'
    for prefix, accepted in (("", True), ("a/", True), ("a", True), ("a/b/", False), ("b/", False)):
        text = changed(restore, f"{restore}, prefix: '{prefix}'", good)
        if accepted:
            made(tmp_path, text, TWO_BUCKETS)
        else:
            with pytest.raises(PlanError, match="the step has the prefix"):
                made(tmp_path, text, TWO_BUCKETS)


@pytest.mark.parametrize("effect", ["read", "fault, undo: ['true'], proof: ['true']"], ids=["reads", "breaks"])
def test_only_what_writes_restores(tmp_path, effect):
    folder = Folder(tmp_path)
    folder.write(
        f"restore:\n  - command.run: {{argv: ['true'], effect: {effect}, restores: {{service: app, from: x}}}}\n"
        "    hosts: controller\n"
    )
    told = folder.run("drill.plan", "sample")
    assert told.returncode == 2, told.stderr
    assert "the only allowed value of `effect` is `write`" in told.stderr


@pytest.mark.parametrize(
    ("argv", "own"),
    [
        ("ansible.playbook", "playbook: /srv/runbook/restore.yml"),
        ("command.script", "path: /srv/runbook/restore"),
    ],
    ids=["playbook", "script"],
)
def test_a_runbook_of_the_team_is_the_restore(tmp_path, argv, own):
    text = free("database").replace("command.run", argv)
    text = text.replace('argv: [sh, -c, "restore $1", sh, "{{ dump.location }}"]', own)
    assert argv in text
    assert own in text
    (step,) = made(tmp_path, changed(RESTORE, text), SITE).phase("restore")
    assert step.action == argv


def test_what_a_command_restores_is_in_the_inventory(tmp_path):
    refused(
        tmp_path, changed(RESTORE, free("databse")), "restores:", "there is no service 'databse'", "did you mean 'database'?"
    )


def test_of_two_commands_that_nobody_compares_the_first_is_named(tmp_path):
    text = changed(
        MATCHES,
        "  - service.status: {service: api}\n",
        changed(RESTORE, free().replace("restore $1", "first $1") + free(), CLUSTER),
    )
    refused(
        tmp_path,
        text,
        "restores:",
        "no step of `verify` is certain to compare the restored content",
        "add `postgres.matches` for that",
    )


def test_a_proof_after_the_restore_is_none_for_it(tmp_path):
    late = MATCHES + '  - postgres.backup_intact: {service: database, from: "s3://nowhere/at/all"}\n'
    text = changed(RESTORE, RESTORE.replace("{{ dump.location }}", "s3://nowhere/at/all"), changed(MATCHES, late))
    refused(
        tmp_path, text, "postgres.restore", "restores 'database' from a backup that no step of this drill verifies", RIGHT
    )


def test_of_two_proofs_the_first_is_the_one_to_restore_from(tmp_path):
    again = PROOF + PROOF.replace("location", "manifest")
    text = changed(RESTORE, RESTORE.replace("{{ dump.location }}", "s3://nowhere/at/all"), changed(PROOF, again))
    refused(tmp_path, text, "postgres.restore", "no step of this drill verifies", RIGHT)


OWN = """\
  - command.run: {argv: [wipe, database], effect: fault, undo: restore, proof: [is-wiped], proven_by: NAME}
    hosts: db-2
"""


def own(name="proof", restore=RESTORE):
    """Drill whose fault is a command that only a restore can undo."""
    text = changed("  - postgres.lose_data: {service: database}\n", OWN.replace("NAME", name))
    return changed(RESTORE, restore, changed(PROOF, PROOF + "    save: proof\n", text))


@pytest.mark.parametrize(
    ("name", "restore"),
    [
        ("proof", RESTORE),
        ("backup.3", RESTORE),
        ("proof", free()),
        ("proof", RESTORE.replace("restore:", "restore_table:").replace("from", "table: chunks, from")),
    ],
    ids=["by-what-it-saved", "by-its-id", "a-command-restores", "a-part-is-restored"],
)
def test_a_command_that_only_a_restore_makes_good_is_planned_as_such(tmp_path, name, restore):
    plan = made(tmp_path, own(name, restore), SITE)
    (fault,) = plan.phase("inject")
    assert fault.restore_only
    assert lost_service(plan, fault) == "database"
    assert [proves(plan.inventory, step, fault) for step in plan.phase("backup")] == [False, False, True, False]


@pytest.mark.parametrize(
    ("text", "marked", "message", "hint"),
    [
        (
            own("nobody"),
            "proven_by: nobody",
            "'nobody' is not a step of `backup` that verifies a backup",
            "such steps: proof (postgres.backup_intact), backup.4 (files.backup_intact)",
        ),
        (own("dump"), "proven_by: dump", "'dump' is not a step of `backup` that verifies a backup", ""),
        (
            own("backup.4"),
            "postgres.restore:",
            "the step cannot restore from the backup that files.backup_intact verifies",
            "write `files.extract: ",
        ),
        (
            own(restore="  - service.restart: {service: api}\n"),
            "service.restart",
            "does not declare `restores`",
            RIGHT,
        ),
        (
            own(restore=RESTORE.replace("database", "spare")),
            "postgres.restore:",
            "the step restores 'spare', but the lost data belongs to",
            RIGHT,
        ),
        (
            own().replace("save: proof", "save: proof\n    allow_failure: never mind"),
            "postgres.backup_intact",
            "may be skipped or fail",
            "",
        ),
        (own().partition("restore:\n")[0] + "verify:\n" + MATCHES, "inject:", "the drill has no restore phase", ""),
        (own().partition("verify:\n")[0], "inject:", "the drill has no verify phase", ""),
    ],
    ids=["no-such-step", "no-proof", "another-kind", "a-restart", "the-spare", "may-fail", "no-restore", "no-verify"],
)
def test_a_command_that_is_not_sure_to_be_made_good_is_refused(tmp_path, text, marked, message, hint):
    refused(tmp_path, text, marked, message, hint)


def test_a_plan_of_a_version_that_asked_for_no_effect_is_carried_out_as_it_was(tmp_path):
    (step,) = made(tmp_path, changed(RESTORE, free()), SITE).phase("restore")
    older = step.model_copy(update={"params": {"argv": ["true"]}})
    assert build(older, {}).effect is Effect.READ
    broken = step.model_copy(update={"params": {"argv": ["true"], "effect": "fault", "undo": ["true"]}})
    assert build(broken, {}).effect is Effect.FAULT
