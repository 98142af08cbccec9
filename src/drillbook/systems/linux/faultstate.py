"""Where a fault keeps on its host what its undo has to know, and the shell functions that its scripts share."""

from __future__ import annotations

from drillbook.sdk.action import Context

# seen PID: sets `state`, `parent` and `start` (clock ticks since boot); false when there is no such living process.
# A pid alone says little, because numbers are used again: a process is its pid with its start time.
SEEN = """
seen() {
  line=$(tr '\\n' ' ' 2>/dev/null < "/proc/$1/stat") || return 1
  test -n "$line" || return 1
  set -- ${line##*) }
  state=$1 parent=$2 start=${20}
  test "$state" != Z && test "$state" != X
}
"""
# rest: a short wait, also where `sleep` knows whole seconds only.
REST = """
rest() { sleep 0.1 2>/dev/null || sleep 1; }
"""


def state_folder(ctx: Context) -> str:
    """Folder of this step's state on its host: beside the run's scratch, so that only the undo removes it.

    The runner clears the scratch at the end of a run, also when an undo failed; what the next try needs must survive that.
    """
    return f"{ctx.scratch}.{ctx.step}"


def made_state_folder(ctx: Context) -> str:
    """The same, with all made that it lies in, so that nobody else can reach into it. Raises NotReady, HostError."""
    ctx.make_scratch()
    return state_folder(ctx)
