"""Restores of a team's own backups into the original service: each refusal has a hint and its place in the file."""

import pytest

from drillbook.errors import PlanError
from drillbook.plan import source_rules
from tests.plan.test_planner import made

SITE = """\
environment: lab
hosts:
  app-1: {address: 192.0.2.1}
  app-2: {address: 192.0.2.2}
services:
  site: {kind: folder, host: app-1, path: /var/www}
  pages: {kind: folder, host: app-1, path: /var/www}
  uploads: {kind: folder, host: app-1, path: /var/uploads}
  copy: {kind: folder, host: app-2, sandbox: {}}
backups:
  nightly: {kind: tar, service: site, at: /archives}
  weekly: {kind: tar, service: site, at: /weekly}
  of_uploads: {kind: tar, service: uploads, at: /archives}
  of_nothing: {kind: tar, host: app-2, at: /archives}
  dumps: {kind: pg_dump, host: app-1, at: /dumps}
  printed: {kind: tar, service: site, at: [cat, /archives/newest.tar]}
"""
DRILL = """\
drill: sample
title: The site is deleted and restored from the nightly archive
service: site
objectives: {rpo: 1h}
backup:
  - backup.check: {service: nightly}
inject:
  - files.lose: {service: site, path: /var/www}
restore:
  - backup.restore: {service: site, from: nightly}
verify:
  - command.run: {argv: [test, -s, /var/www/index.html], effect: read}
    hosts: app-1
"""
HARMLESS = DRILL.replace("inject:\n  - files.lose: {service: site, path: /var/www}\n", "")


def changed(text, old, new):
    assert text.count(old) == 1, old
    return text.replace(old, new)


def refused(tmp_path, text):
    """Message and hint of the refusal, and the text at its place in the file."""
    with pytest.raises(PlanError) as caught:
        made(tmp_path, text, SITE)
    where = caught.value.where
    return caught.value.message, caught.value.hint, text.splitlines()[where.line - 1][where.column - 1 :]


def test_all_mistakes_of_restores_in_place_are_told_at_once(tmp_path):
    text = DRILL.replace("objectives: {rpo: 1h}\n", "").replace("path: /var/www}", "path: /var/uploads}")
    text = text.replace("  - backup.check: {service: nightly}", "  - backup.check: {service: weekly}")
    text = text.replace("verify:\n", "  - backup.restore: {service: uploads, from: hourly}\nverify:\n")
    with pytest.raises(PlanError) as caught:
        made(tmp_path, text, SITE)
    told = [caught.value.message, *(error.message for error in caught.value.others)]
    parts = (
        "no step of the phase `backup` verifies nightly",
        "destroys /var/uploads",
        "no objective limits",
        "no backup source 'hourly'",
    )
    assert [[part in message for message in told].count(True) for part in parts] == [1, 1, 1, 1], told


def test_a_restore_from_the_verified_backup_is_planned(tmp_path):
    plan = made(tmp_path, DRILL, SITE)
    (step,) = plan.phase("restore")
    assert source_rules.restores_in_place(plan.inventory, step)
    assert source_rules.moment_of(step) == "latest"
    assert not source_rules.restores_in_place(plan.inventory, plan.phase("backup")[0]), "it only reads"


def test_the_moment_of_a_restore_is_its_parameter_at(tmp_path):
    at = "at: '2026-01-01T00:00:00Z'"
    text = DRILL.replace("{service: nightly}", f"{{service: nightly, {at}}}").replace(
        "from: nightly}", f"from: nightly, {at}}}"
    )
    (step,) = made(tmp_path, text, SITE).phase("restore")
    assert source_rules.moment_of(step) == "2026-01-01T00:00:00Z"


def test_a_restore_into_a_sandbox_is_not_a_restore_in_place(tmp_path):
    text = changed(HARMLESS, "backup.restore: {service: site", "backup.restore: {service: copy")
    text = changed(text, "objectives: {rpo: 1h}\n", "").replace("backup:\n  - backup.check: {service: nightly}\n", "")
    plan = made(tmp_path, text, SITE)
    assert not source_rules.restores_in_place(plan.inventory, plan.phase("restore")[0])


def test_a_backup_may_be_of_another_name_of_the_same_folder(tmp_path):
    text = changed(HARMLESS, "backup.restore: {service: site", "backup.restore: {service: pages")
    assert made(tmp_path, text, SITE).phase("restore")[0].params["service"] == "pages"


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            "nightlyy",
            "there is no backup source 'nightlyy' in the inventory's `backups`",
            "did you mean 'nightly'? backup sources: nightly, weekly, of_uploads, of_nothing, dumps, printed",
        ),
        (
            "uploads",
            "there is no backup source 'uploads' in the inventory's `backups`",
            "did you mean 'of_uploads'? backup sources: nightly, weekly, of_uploads, of_nothing, dumps, printed",
        ),
        (
            "dumps",
            "backups of kind pg_dump can only be restored into a sandbox, not into 'site' of kind folder",
            "restore the backup into a service with `sandbox: {}`, or use a source whose kind can be restored in place",
        ),
        (
            "of_uploads",
            "'of_uploads' is a backup of 'uploads', not a backup of 'site'",
            "name a backup source whose `service` is site",
        ),
        (
            "of_nothing",
            "'of_nothing' is a backup without a `service` in the inventory, not a backup of 'site'",
            "name a backup source whose `service` is site",
        ),
    ],
)
@pytest.mark.parametrize("drill", [DRILL, HARMLESS], ids=["after-a-fault", "without-a-fault"])
def test_a_source_that_does_not_fit_the_service_is_refused(tmp_path, drill, source, message, hint):
    told = refused(tmp_path, changed(drill, "from: nightly}", f"from: {source}}}"))
    assert told == (message, hint, f"{source}}}")


def test_an_inventory_without_backup_sources_offers_none(tmp_path):
    text = changed(HARMLESS, "backup:\n  - backup.check: {service: nightly}\n", "")
    with pytest.raises(PlanError) as caught:
        made(tmp_path, text, SITE.partition("backups:")[0])
    assert caught.value.hint == "backup sources: none"


@pytest.mark.parametrize("phase", ["backup", "verify", "cleanup"])
def test_only_the_phase_restore_may_restore_in_place(tmp_path, phase):
    step = "  - backup.restore: {service: site, from: nightly}\n"
    text = changed(HARMLESS, f"restore:\n{step}", "restore:\n  - backup.check: {service: nightly}\n")
    text = changed(text, f"{phase}:\n", f"{phase}:\n{step}") if f"\n{phase}:" in text else f"{text}{phase}:\n{step}"
    message, hint, at = refused(tmp_path, text)
    assert message == f"backup.restore restores into the service 'site' itself; this is not allowed in the phase {phase}"
    assert hint == "move the step to the phase `restore`"
    assert at.startswith("backup.restore")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("from: nightly}", "from: weekly}", "no step of the phase `backup` verifies weekly"),
        (
            "from: nightly}",
            "from: nightly, at: '2026-01-01T00:00:00Z'}",
            "backup.1 verifies the backup latest of nightly, but this step restores the backup 2026-01-01T00:00:00Z",
        ),
    ],
    ids=["another-source", "another-moment"],
)
def test_a_restore_from_a_backup_that_was_not_verified_is_refused(tmp_path, old, new, why):
    message, hint, at = refused(tmp_path, changed(DRILL, old, new))
    source, _, rest = new.removeprefix("from: ").removesuffix("}").partition(", ")
    assert message == f"inject.1 files.lose destroys data that only this restore brings back, but {why}"
    wanted = f"{source}, {rest}" if rest else source
    assert hint == f"add `backup.check: {{service: {wanted}}}` to the phase `backup`, without `when` and `allow_failure`"
    assert at.startswith(source)


@pytest.mark.parametrize("keyword", ["when: 1 > 2", "allow_failure: the archive is large"])
def test_a_verification_that_may_be_skipped_or_fail_is_not_enough(tmp_path, keyword):
    sure = "  - backup.check: {service: nightly}\n"
    other = "  - backup.check: {service: weekly}\n"
    text = changed(DRILL, sure, f"{other}{sure}    {keyword}\n")
    message, _, _ = refused(tmp_path, text)
    assert message.endswith("but backup.2, which verifies nightly, may be skipped or fail")
    assert made(tmp_path, changed(text, other, sure), SITE), "one step that is certain to verify is enough"


def test_without_a_fault_the_backup_needs_no_verification_and_no_objective(tmp_path):
    text = changed(HARMLESS, "backup.check: {service: nightly}", "backup.check: {service: weekly}")
    text = changed(text, "objectives: {rpo: 1h}\n", "")
    assert made(tmp_path, text, SITE).phase("restore")


@pytest.mark.parametrize("path", ["/var/www/pages", "/var"])
def test_a_fault_that_destroys_another_folder_is_refused(tmp_path, path):
    text = changed(DRILL, "files.lose: {service: site, path: /var/www}", f"files.lose: {{service: site, path: {path}}}")
    message, hint, at = refused(tmp_path, text)
    assert message == f"inject.1 files.lose destroys {path}, but backup.restore restores /var/www"
    assert hint == "write `path: /var/www` in the fault, or name another service"
    assert at.startswith("backup.restore")


def test_a_slash_at_the_end_names_the_same_folder(tmp_path):
    assert made(
        tmp_path,
        changed(DRILL, "files.lose: {service: site, path: /var/www}", "files.lose: {service: site, path: /var/www/}"),
        SITE,
    )


@pytest.mark.parametrize("objectives", ["", "objectives: {rto: 1h}\n"])
def test_an_objective_has_to_limit_the_loss_of_data(tmp_path, objectives):
    message, hint, at = refused(tmp_path, changed(DRILL, "objectives: {rpo: 1h}\n", objectives))
    assert message == (
        "backup.restore restores a backup that this drill did not take, but no objective limits how much data may be lost"
    )
    assert hint.startswith("add `rpo` to `objectives`")
    assert at.startswith("backup.restore")


def test_the_age_of_the_restored_data_has_to_be_known(tmp_path):
    message, hint, at = refused(tmp_path, DRILL.replace("nightly", "printed"))
    assert message == "the command of printed prints data of unknown age, so that the loss of data cannot be limited"
    assert hint.startswith("use a backup source whose `at` is a place of files")
    assert at.startswith("printed}")


def test_a_fault_on_another_name_of_the_folder_is_undone_by_the_same_restore(tmp_path):
    text = changed(DRILL, "files.lose: {service: site", "files.lose: {service: pages")
    assert made(tmp_path, text, SITE)
    message, _, _ = refused(tmp_path, changed(text, "objectives: {rpo: 1h}\n", ""))
    assert "no objective limits how much data may be lost" in message
