"""A signer that waits: a program ``ssh-keygen`` that acts before the real one."""

from __future__ import annotations

import os
import shutil

from tests.program import Folder

WAITS = """\
#!/bin/sh
if test ! -e {root}/go && ls {root}/reports/*-{drill}-*/result.json >/dev/null 2>&1; then
  touch {root}/signing
  until test -e {root}/go || ! kill -0 $PPID; do sleep 0.05; done
fi
exec {real} "$@"
"""


def waits_at_the_end(folder: Folder, drill: str) -> None:
    """Make runs of ``drill`` wait while their finished record is signed: from the file `signing` until the file `go`.

    At this time, the reports of the run are written, and the index of all runs is not.
    """
    programs = folder.root / "programs"
    programs.mkdir()
    program = programs / "ssh-keygen"
    program.write_text(WAITS.format(root=folder.root, drill=drill, real=shutil.which("ssh-keygen")))
    program.chmod(0o755)
    folder.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
