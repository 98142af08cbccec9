"""Runs one action in a process that is killed right after its n-th statement that changes something.

``python -m tests.systems.postgres.mortal FILE N``: FILE contains a pickled action with its services and its place.
Statements of the controller's sessions count, but not those of programs on the host, which outlive a controller.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import Context, find
from drillbook.sdk.host import Deadline
from drillbook.systems.postgres import connection
from drillbook.systems.postgres.bounded_connection import Bounded

CHANGES = ("CREATE", "ALTER", "DROP", "CHECKPOINT")


class Mortal(Bounded):
    """Connection whose process is killed after a number of changes."""

    left = 0

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Execute the statement as psycopg does, then kill the process if its time has come."""
        result = super().execute(query, *arguments, **options)
        text = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else query.as_string(self)
        if text.lstrip().startswith(CHANGES):
            Mortal.left -= 1
            if Mortal.left == 0:
                sys.stdout.write(text)
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        return result


def main(file: str, number: int) -> None:
    """Run the action."""
    given = pickle.loads(Path(file).read_bytes())
    Mortal.left = number
    connection.Bounded = Mortal
    host = LocalHost(target=given["target"])
    ctx = Context(
        run_id=given["run"],
        step=given["step"],
        host=host,
        services=given["services"],
        host_named=lambda name: host,
        deadline=Deadline.after(120),
        folder=Path(given["folder"]),
    )
    find(given["action"]).model_validate(given["fields"]).run(ctx)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
