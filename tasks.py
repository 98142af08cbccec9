"""Tasks for `invoke`: see `invoke --list`."""

import shlex
import sys

from invoke.context import Context
from invoke.tasks import task

from drillbook import tasks


@task(
    help={
        "seed": "draws other mutants; default: the version",
        "count": "how many; default: as in pyproject.toml",
        "workers": "sessions of pytest at once",
        "options": "more options of `python -m bench.mutants`",
    }
)
def mutants(context: Context, seed: str = "", count: int = 0, workers: int = 2, options: str = "") -> None:
    """Draw mutants of the modules that decide and tell which of them no test notices (for people who work on Drillbook)."""
    argv = [
        sys.executable,
        "-m",
        "bench.mutants",
        "--workers",
        str(workers),
        *(["--seed", seed] if seed else []),
        *(["--count", str(count)] if count else []),
    ]
    context.run(f"{shlex.join(argv)} {options}", pty=sys.stdout.isatty())


@task(positional=["version"], help={"version": "MAJOR.MINOR.PATCH, newer than the last one"})
def release(context: Context, version: str) -> None:
    """Give the checkout a new version, in the package and in the changelog (for people who work on Drillbook)."""
    context.run(shlex.join([sys.executable, "-m", "bench.release", version]))


namespace = tasks.namespace()
namespace.add_task(mutants)
namespace.add_task(release)
