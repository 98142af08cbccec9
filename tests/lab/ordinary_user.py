"""Program that a test runs as a user other than root: start a lab, inspect it, stop it."""

import os
import sys
from pathlib import Path

os.environ.pop("DRILLBOOK_LAB_IDENTITY", None)

from drillbook.lab import control

folder = Path(sys.argv[1])
lab = control.up(folder / "lab")
print(os.geteuid(), lab.identity, control.status(folder / "lab").healthy)
control.down(folder / "lab")
