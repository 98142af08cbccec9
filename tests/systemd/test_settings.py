"""Settings of a unit of a real systemd: a unit that runs with the drill's settings is restarted, a unit with the old
ones is not.
"""

import pytest

from drillbook.sdk.host import Deadline
from drillbook.systems.units.actions.service import Restart
from drillbook.systems.units.actions.settings import Apply, Change, Keep, PutBack
from tests.systemd.conftest import PATIENCE, until

pytestmark = pytest.mark.parametrize("user", ["root", "app"])


def test_a_unit_that_read_settings_of_the_drill_is_restarted_whoever_started_it(unit, user, machine):
    env, read = f"/var/tmp/{user}.env", f"/var/tmp/{user}.read"
    machine.root(f"echo LEVEL=info > {env}; chown {user} {env}")
    it = unit("reads")

    def has(level):
        return machine.root(f"cat {read}").strip() == f"level {level}"

    def pid():
        return it.state().pid

    def aged():
        now, changed = machine.root(f"date +%s.%N; stat -c %.9Z {env}").split()
        return float(now) - float(changed) > 0.2

    assert has("info")
    kept = Keep(service="it").run(it.ctx("backup.1"))
    put_back = PutBack.model_validate({"service": "it", "from": kept["kept"], "sha256": kept["sha256"]})

    change = Change.model_validate({"service": "it", "set": {"LEVEL": "wrong"}})
    it.cycle(change, lambda: until(lambda: has("wrong")))
    until(lambda: has("info"), "the good settings")

    remedy = Apply.model_validate({"service": "it", "set": {"LEVEL": "debug"}})
    undo, reader = remedy.undo(it.ctx("restore.1")), remedy.run(it.ctx("restore.1"))["pid"]
    assert has("debug")
    it.host.run((*it.manager.sudo, "kill", "-KILL", str(reader)), deadline=Deadline.after(PATIENCE)).check()
    until(lambda: pid() not in (None, reader), "another process, by its manager")
    put_back.run(it.ctx("cleanup.1"))
    it.undo(undo)
    until(lambda: has("info"), "the good settings")

    undo = remedy.undo(it.ctx("restore.2"))
    remedy.run(it.ctx("restore.2"))
    put_back.run(it.ctx("cleanup.2"))
    until(aged, "a file that is older than what is started now, beyond doubt")
    restarted = Restart(service="it").run(it.ctx("cleanup.2"))["pid"]
    it.undo(undo)
    assert pid() == restarted, "it has the good settings already"
    it.undo(Keep(service="it").undo(it.ctx("backup.1")))
    assert machine.left() == ""
    assert machine.root(f"ls -d {env}* {read}*").split() == [env, read]
    machine.root(f"rm {env} {read}")
