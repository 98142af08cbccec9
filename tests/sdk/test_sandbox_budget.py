"""Watcher of a sandbox's budget, in a namespace of processes whose numbers the test chooses."""

import shlex
import signal
import subprocess

from drillbook.sdk import sandbox_budget
from drillbook.sdk.isolation import MARK, Isolation
from tests.needs import need

NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")


def test_the_watcher_ends_a_process_with_a_higher_number_than_its_own(tmp_path):
    """Process numbers begin again at the bottom after the highest one. The watcher's own shells then come first in the
    list of the processes, and must not end themselves before the others."""
    need("unshare")
    (tmp_path / "drillbook.run").write_text("run\n")
    isolation = Isolation(folder=str(tmp_path), kind="namespace", user="", memory=1 << 10)
    script = f"""
        echo 30000 > /proc/sys/kernel/ns_last_pid
        env {shlex.quote(f"{MARK}={tmp_path}")} sleep 60 &
        process=$!
        echo 1000 > /proc/sys/kernel/ns_last_pid
        {shlex.join(sandbox_budget.watching(isolation, 1 << 30))}
        wait "$process"
        echo "$process $?"
    """
    done = subprocess.run([*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, timeout=100, check=False)
    process, status = done.stdout.split()
    assert int(process) > 30000, done.stderr
    assert int(status) == 128 + signal.SIGKILL, "the process went on beyond the limit of memory"
