"""A WAL receiver that ends before the fault: the fault is not injected, because the restore would lack later changes."""

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict

DRILL = """
drill: receiver-lost
title: Lose the data directory after the WAL receiver has ended
description: The receiver is killed between the base backup and the fault.
service: database
objectives: {rpo: 5s}
guard:
  environments: [lab]
backup:
  - postgres.stream_wal: {service: database}
    save: log
  - postgres.base_backup: {service: database, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/base"}
    save: base
  - postgres.base_intact: {service: database, from: "{{ base.location }}"}
  - command.run:
      effect: write
      argv: [sh, -c, "kill -KILL ${1#pid }", sh, "pid {{ log.pid }}"]
    name: The receiver is killed
    hosts: db-1
inject:
  - postgres.lose_data: {service: database}
restore:
  - postgres.recover: {service: database, from: "{{ base.location }}", wal: "{{ log.folder }}"}
verify:
  - postgres.healthy: {service: database}
"""


def test_a_restore_that_does_not_take_the_wal_needs_no_receiver(bench):
    path = bench.changed("receiver-lost")
    path.write_text(DRILL.replace(', wal: "{{ log.folder }}"', "").replace("objectives: {rpo: 5s}\n", ""))
    _, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.PASSED, view.result.reason


def test_nothing_is_destroyed_after_the_receiver_of_its_wal_has_ended(bench):
    path = bench.changed("receiver-lost")
    path.write_text(DRILL)
    folder, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.INCONCLUSIVE, view.result.reason
    (wrong,) = [each for each in view.result.findings if each.code == "backup-unproven"]
    assert "postgres.stream_wal (backup.1) still running on db-1" in wrong.wanted
    assert "it has ended" in wrong.measured
    assert not view.result.residue
    events = read(folder / FILE).events
    assert not [event for event in events if event.kind == "intent" and event.step == "inject.1"], "nothing was destroyed"
