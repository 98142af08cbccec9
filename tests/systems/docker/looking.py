"""Looks at containers and volumes from outside."""

import subprocess


def listed(made):
    script = "cd /data; find . -printf '%p %y %m %u %g %l\\n' | sort; cat a/b/1"
    return made.exec_run(["sh", "-c", script]).output


def asked(made, what):
    done = subprocess.run(["docker", "inspect", "--format", what, made.name], capture_output=True, text=True, check=True)
    return done.stdout.strip()
