"""Files of a pull request that run code wherever possible: each leaves a separate mark."""

import json
import shlex
import subprocess

from tests.program import PROGRAM, Folder, here

READY = "ready:\n  - command.run: {argv: [touch, DIR/mark-ready], effect: read}\n    hosts: controller\n"
GUARD = "guard:\n  abort_if:\n    - command.run: {argv: [touch, DIR/mark-guard], effect: read}\n      hosts: controller\n"
STEP = "restore:\n  - command.run: {argv: [touch, DIR/done], effect: read}\n    hosts: controller\n"
PROBE = "probes:\n  - redis.available: {service: cache}\n"
SECRET = "!command [sh, -c, 'touch {}/mark-secret; printf sword%s fish-word']"
TREE = """\
tree: hostile
title: A tree of a pull request
kind: {kind}
checks:
  look:
    {check}
    optional: true
  disk:
    host.disk: {{service: "{{{{ service.name }}}}", path: /}}
healthy: [disk.ok]
"""


class PullRequest(Folder):
    """Project, and the changes of a pull request."""

    def __init__(self, root):
        super().__init__(root)
        self.environment["XDG_STATE_HOME"] = str(root.parent / f"{root.name}-state")
        self.environment.pop("DRILLBOOK_TRUST", None)
        self.write("restore:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n", "harmless")

    def site(self, secret="!env NOWHERE", more=""):
        (self.root / "inventory" / "lab.yml").write_text(f"""\
environment: lab
hosts: {{{here(self.root)}}}
services:
  app: {{kind: process, host: controller}}
  cache: {{kind: redis, host: controller, port: 1, password: {secret}}}
{more}""")

    def tree(self, check, kind="process"):
        (self.root / "drills" / "diagnosis").mkdir(exist_ok=True)
        (self.root / "drills" / "diagnosis" / "hostile.yml").write_text(
            TREE.format(kind=kind, check=json.dumps(check)[1:-1].replace("DIR", str(self.root)))
        )

    @property
    def marks(self):
        return sorted(path.name for path in self.root.glob("mark-*"))

    @property
    def record(self):
        (found,) = (self.root.parent / f"{self.root.name}-state" / "drillbook" / "trust").iterdir()
        return found

    def digest(self):
        done = self.run("trust", "--show", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["digest"]

    def trust(self):
        done = self.run("trust", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def check(self, *argv):
        """Exit status and output of a check, which must not contain a Python error."""
        done = self.run("drill.check", *(argv or ("sample",)))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, " ".join((done.stdout + done.stderr).split())


def answered(folder, *argv, text):
    """Run the program in a terminal that answers ``text``, created by script(1)."""
    words = shlex.join([*PROGRAM, *argv])
    return subprocess.run(
        ["script", "-qec", words, "/dev/null"],
        cwd=folder.root,
        env=folder.environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
