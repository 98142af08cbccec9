"""Tasks for `invoke`: see `invoke --list`."""

import shlex
import sys
import tempfile

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from drillbook import tasks


def _python(context: Context, argv: list[str], options: str = "") -> None:
    """Run this Python with ``argv``, and with ``options`` as the user typed them."""
    context.run(f"{shlex.join([sys.executable, *argv])} {options}", pty=sys.stdout.isatty())


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
        "-m",
        "bench.mutants",
        "--workers",
        str(workers),
        *(["--seed", seed] if seed else []),
        *(["--count", str(count)] if count else []),
    ]
    _python(context, argv, options)


@task(help={})
def pictures(context: Context) -> None:
    """Make the pictures of docs/ from real runs on a new lab, with tmux and Chromium (for people who work on Drillbook)."""
    _python(context, ["-m", "bench.pictures"])


@task(help={})
def links(context: Context) -> None:
    """Open the links of the documentation to other sites, and tell which lead nowhere (for people who work on Drillbook)."""
    _python(context, ["-m", "bench.links"])


@task(positional=["version"], help={"version": "MAJOR.MINOR.PATCH, newer than the last one"})
def release(context: Context, version: str) -> None:
    """Give the checkout a new version, in the package and in the changelog (for people who work on Drillbook)."""
    context.run(shlex.join([sys.executable, "-m", "bench.release", version]))


@task(help={"only": "versions, with commas between them; default: all that pyproject.toml declares"})
def pythons(context: Context, only: str = "") -> None:
    """Try every supported Python with the oldest and the newest dependencies (for people who work on Drillbook)."""
    argv = ["-m", "bench.pythons", *(["--only", only] if only else [])]
    _python(context, argv)


@task(
    help={
        "drivers": "kinds of backups, with commas between them; default: all",
        "options": "more options of `python -m bench.detection`, such as --write",
    }
)
def detection(context: Context, drivers: str = "", options: str = "") -> None:
    """Ask Drillbook and other tools about a corpus of broken backups (for people who work on Drillbook)."""
    argv = ["-m", "bench.detection", *(["--drivers", drivers] if drivers else [])]
    _python(context, argv, options)


@task(
    help={
        "folder": "where data, backups and copies lie: about four times the size",
        "size": "MB of data",
        "pairs": "restores of each kind, of the bare tool and of Drillbook in turn",
        "options": "more options of `python -m bench.overhead`, such as --write",
    }
)
def overhead(context: Context, folder: str, size: int = 2000, pairs: int = 5, options: str = "") -> None:
    """Measure the time of a restore beside the bare tool's, and the controller's memory (for people who work on Drillbook)."""
    argv = ["-m", "bench.overhead", "--folder", folder, "--size", str(size), "--pairs", str(pairs)]
    _python(context, argv, options)


@task(
    help={
        "size": "MB of data",
        "pairs": "backups of each kind, of the bare pipeline and of Drillbook in turn",
        "options": "more options of `python -m bench.transfers`, such as --write",
    }
)
def transfers(context: Context, size: int = 1000, pairs: int = 5, options: str = "") -> None:
    """Measure the time of a backup to a store beside bare pipelines with the same checks (for people who work on Drillbook)."""
    argv = ["-m", "bench.transfers", "--size", str(size), "--pairs", str(pairs)]
    _python(context, argv, options)


@task(
    help={
        "work": "what to do, with commas, such as 20x20-read,20x20-read-20ms; default: the usual ones",
        "rounds": "rounds of all tools in turn",
        "options": "more options of `python -m bench.drill`, such as --write",
    }
)
def drill(context: Context, work: str = "", rounds: int = 5, options: str = "") -> None:
    """Measure whole drills beside ssh, Fabric, pyinfra and Ansible (for people who work on Drillbook)."""
    argv = ["-m", "bench.drill", "--rounds", str(rounds), *(["--work", work] if work else [])]
    _python(context, argv, options)


@task(
    help={
        "rounds": "rounds of the plain reader and all tasks in turn",
        "options": "more options of `python -m bench.records`, such as --write",
    }
)
def records(context: Context, rounds: int = 5, options: str = "") -> None:
    """Measure reports and audits of large records beside a plain reader (for people who work on Drillbook)."""
    argv = ["-m", "bench.records", "--rounds", str(rounds)]
    _python(context, argv, options)


@task(
    help={
        "rounds": "measurements of each row with few sites",
        "options": "more options of `python -m bench.campaign_cost`, such as --write",
    }
)
def campaigns(context: Context, rounds: int = 3, options: str = "") -> None:
    """Measure the cost of a campaign without its drills (for people who work on Drillbook)."""
    _python(context, ["-m", "bench.campaign_cost", "--rounds", str(rounds)], options)


@task(
    help={
        "rounds": "rounds of all tools in turn",
        "write": "write the results and their pages under docs/",
    }
)
def everything(context: Context, rounds: int = 5, write: bool = False) -> None:
    """Measure all that the other tasks of `bench` measure, which takes hours (for people who work on Drillbook)."""
    options = "--write" if write else ""
    drill(context, work="all", rounds=rounds, options=options)
    records(context, rounds=rounds, options=options)
    campaigns(context, options=options)
    transfers(context, pairs=rounds, options=options)
    with tempfile.TemporaryDirectory(prefix="drillbook-bench-") as folder:
        overhead(context, folder, pairs=rounds, options=options)
    detection(context, options=options)


namespace = tasks.namespace()
bench = Collection("bench")
bench.add_task(everything, default=True)
bench.add_task(drill)
bench.add_task(records)
bench.add_task(campaigns)
bench.add_task(detection)
bench.add_task(overhead)
bench.add_task(transfers)
namespace.add_collection(bench)
namespace.add_task(links)
namespace.add_task(mutants)
namespace.add_task(pictures)
namespace.add_task(pythons)
namespace.add_task(release)
