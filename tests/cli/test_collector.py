"""The garbage collector during a command, and at its end."""

import subprocess
import sys

# The function that is registered first runs last.
SCRIPT = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count())); import drillbook.cli"


def test_the_end_of_a_command_searches_no_garbage():
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 1000
