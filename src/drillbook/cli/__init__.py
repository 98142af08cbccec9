"""The invoke tasks and their output to the terminal. Each task returns an exit status.

Lives here: task definitions, options, dry runs, tables, and the assembly of a run from the other packages.
Lives elsewhere: executing a run (`engine`), decisions (`judge`, `plan`), reports (`report`).
"""

from __future__ import annotations

import atexit
import gc

# Commands are short and make little garbage. With Python's own limit of 700, the collector takes a tenth of their time.
gc.set_threshold(200_000, 20, 20)
# At its end, Python searches all objects for garbage several times, although the system takes back their memory anyway.
atexit.register(gc.freeze)
