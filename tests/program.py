"""The real program in a separate process, in a project folder whose drills run on the controller only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests import forked

PROGRAM = [sys.executable, "-c", "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"]
HEAD = "drill: sample\ntitle: A sample\nservice: app\n"
VERIFY = "verify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n"


def here(folder: Path) -> str:
    """The controller as a host of an inventory, with a separate scratch folder, because tests run in parallel."""
    return f"controller: {{local: true, scratch: {folder}/scratch, lease: {{boot: none}}}}"


class Folder:
    """A project folder, and the program in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "drills").mkdir()
        (root / "inventory").mkdir()
        (root / "inventory" / "lab.yml").write_text(
            f"environment: lab\nhosts: {{{here(root)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
        )
        self.environment = {**os.environ, "PYTHONWARNINGS": "error", "TERM": "xterm-256color", "COLUMNS": ""}
        self.environment.pop("COLUMNS")

    def write(self, text: str, name: str = "sample") -> None:
        """Write a drill; ``DIR`` in its text is the folder. A drill without a verification gets one."""
        text += "" if "verify:" in text else VERIFY
        (self.root / "drills" / f"{name}.yml").write_text(HEAD.replace("sample", name) + text.replace("DIR", str(self.root)))

    def run(self, *argv: str, **options):
        """Run the program to its end: as a fork, or as a real start if ``options`` or the environment require it."""
        timeout = options.pop("timeout", 60)
        if not options and forked.fits(self.environment):
            return forked.run(argv, self.root, self.environment, timeout)
        return subprocess.run(
            [*PROGRAM, *argv],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **options,
        )

    def start(self, *argv: str, **options):
        return subprocess.Popen([*PROGRAM, *argv], cwd=self.root, env=self.environment, **options)

    @property
    def latest(self) -> Path:
        return (self.root / "reports" / "latest").resolve()

    def result(self):
        return json.loads((self.latest / "result.json").read_text())


def step(argv, *more):
    return "".join(
        f"  {line}\n"
        for line in [
            f"- command.run: {{argv: {json.dumps(argv)}, effect: read}}",
            "  hosts: controller",
            *(f"  {line}" for line in more),
        ]
    )


def fault(argv, undo, proof=("true",)):
    return (
        f"inject:\n  - command.run: {{argv: {json.dumps(argv)}, effect: fault, undo: {json.dumps(undo)}, "
        f"proof: {json.dumps(list(proof))}}}\n    hosts: controller\n"
    )


PROOF = (
    fault(["touch", "DIR/gone"], ["rm", "-f", "DIR/gone"], ["test", "-e", "DIR/gone"])
    + "restore:\n"
    + step(["rm", "-f", "DIR/gone"])
)
"""Steps of a drill that proves a restore: its fault is active, and its restore phase ends it."""
