"""Modules that the program imports for its quickest tasks. Their number tells the time to start, without a clock."""

import subprocess
import sys

import pytest

SAID = "modules: "
PROGRAM = (
    "import atexit, sys; sys.argv[0] = 'drillbook'; "
    f"atexit.register(lambda: print('{SAID}' + ' '.join(sorted(sys.modules)), file=sys.stderr)); "
    "from drillbook.cli.program import main; main()"
)
MOST = {"--version": 71, "drill.list": 158}
"""Most modules of Drillbook that a task may import. Lower a figure with the code; a higher one needs a reason here.

71: the task `drill.recover` has a module of its own, `cli.recover_task`, with seven imports that others need anyway.
154: the list also tells where a guard permits the Docker lab, whose environment `inventory.protection` names; and the durations
in its lines have the words of `language.durations`, as those in sentences have.
155: the lines about findings, for which `drill.due` has the same words, are in `cli.finding_lines`.
157: `project.not_here` finds drills that could only fail where they ran, and `project.due_row` has the row that both make.
158: `cli.repetitions` has the next step of a drill that must run again, which `cli.due_steps` words, and this imports `cli.short_list`.
"""
SLOW = {
    *("asyncssh", "boto3", "botocore", "cryptography", "docker", "fabric", "fastapi", "numpy", "paramiko", "psycopg"),
    *("pymysql", "qdrant_client", "redis", "requests", "httpx", "jinja2", "apprise", "opentelemetry", "distributed"),
}
"""Libraries that only some tasks need, each of which costs about a tenth of the whole start, or more."""


def imported(folder, *argv):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *argv], cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition(SAID)[2].split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Project with one drill that never ran."""
    root = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "drillbook.cli", "init", "."], cwd=root, check=True, capture_output=True)
    return root


@pytest.mark.parametrize("task", MOST)
def test_a_quick_task_imports_no_more_modules_than_recorded(project, task):
    modules = imported(project, task)
    assert {name.partition(".")[0] for name in modules} & SLOW == set()
    own = [name for name in sorted(modules) if name.partition(".")[0] == "drillbook"]
    assert len(own) <= MOST[task], f"{len(own)} modules, at most {MOST[task]}: import the new one where it is needed: {own}"
    assert len(own) > MOST[task] - 12, f"only {len(own)} modules: lower the figure {MOST[task]}"
