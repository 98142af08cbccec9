"""The state folder of a fault on its host, and shell functions that the scripts of all faults use. The state folder holds
the data that the undo needs.
"""

from __future__ import annotations

from drillbook.sdk.action import Context

# seen PID: set `state`, `parent` and `start` (clock ticks since boot); fails if no such process is alive. Pids are reused,
# so a process is identified by its pid and start time.
SEEN = """
seen() {
  line=$(tr '\\n' ' ' 2>/dev/null < "/proc/$1/stat") || return 1
  test -n "$line" || return 1
  set -- ${line##*) }
  state=$1 parent=$2 start=${20}
  test "$state" != Z && test "$state" != X
}
"""
# rest: sleep briefly, even if `sleep` accepts only whole seconds.
REST = """
rest() { sleep 0.1 2>/dev/null || sleep 1; }
"""


def state_folder(ctx: Context) -> str:
    """Return the folder of this step's state on its host. It is next to the run's scratch folder.

    The folder stays until the undo has succeeded, so that a failed undo can be repeated. It is not inside the scratch
    folder, because the runner removes the scratch folder at the end of every run.
    """
    return f"{ctx.scratch}.{ctx.step}"


def made_state_folder(ctx: Context) -> str:
    """Create the parent folder of the state folder, if it is missing. Return the path of the state folder, which is not
    created here.

    Raises NotReady when other users could write to the parent folder, and HostError when the host cannot be used.
    """
    ctx.make_scratch()
    return state_folder(ctx)
