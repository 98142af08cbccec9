"""Draw mutants, test them, and report the survivors: ``invoke mutants``, or ``python -m bench.mutants --help``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.mutants.drawing import Mutant, draw

import drillbook

ROOT = Path(__file__).parent.parent.parent
COPIED = ("src", "tests", "drills", "inventory", "lab", "docs", "bench", "pyproject.toml", "tasks.py", "README.md")
NEW = "NEW: kill it by a test, or give its reason in bench/mutants/survivors.toml"
SURVIVORS = ROOT / "bench" / "mutants" / "survivors.toml"


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("--seed", default=drillbook.__version__, help="default: the version; each release draws anew")
    parser.add_argument("--count", type=int, default=settings()["count"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--module", action="append", help="only these modules")
    parser.add_argument("--match", default="", help="only mutants whose key holds this text")
    parser.add_argument("--again", default="", help="only the mutants that survived in this file, an earlier --json")
    parser.add_argument("--tests", nargs="+", help="only these files of tests; default: as in pyproject.toml")
    parser.add_argument("--reach", default="", help="keep which tests enter what in this file, and use it again")
    parser.add_argument("--json", default="", help="write every result to this file")
    return parser.parse_args()


def main() -> int:
    options, wanted = arguments(), settings()
    paths = {name: f"src/drillbook/{name}.py" for name in options.module or wanted["modules"]}
    sources = {name: (ROOT / path).read_text() for name, path in paths.items()}
    started = time.monotonic()
    again = survived(Path(options.again)) if options.again else None
    every = [
        one
        for one in draw(sources, options.count, options.seed)
        if options.match in " ".join(one.key) and (again is None or one.key in again)
    ]
    print(f"{len(every)} mutants of {len(sources)} modules, seed {options.seed!r}", flush=True)
    with tempfile.TemporaryDirectory(prefix="drillbook-mutants-") as folder:
        results = tested(every, paths, options.tests or wanted["tests"], Path(folder), options)
    if options.json:
        Path(options.json).write_text(
            json.dumps(
                [{**results[n], **asdict(one), "source": ""} for n, one in enumerate(every) if n in results], indent=1
            )
        )
    status = told(every, results, wanted["least"])
    print(f"{time.monotonic() - started:.0f} s")
    return status


def survived(earlier: Path) -> set[tuple[str, str, str, str]]:
    """Keys of the mutants that survived an earlier run."""
    return {
        (one["module"], one["function"], one["before"], one["after"])
        for one in json.loads(earlier.read_text())
        if not one["killer"]
    }


def tested(
    every: list[Mutant], paths: dict[str, str], tests: list[str], folder: Path, options: argparse.Namespace
) -> dict[int, dict[str, Any]]:
    """Result of each mutant, from several sessions of pytest, each on a separate copy of the tree."""
    reach = Path(options.reach).absolute() if options.reach else folder / "reach.json"
    sessions = []
    trees = [copied(folder / str(number) / "tree") for number in range(options.workers)]
    for number, tree in enumerate(trees):
        own = tree.parent
        mine = [{"number": n, **asdict(one)} for n, one in enumerate(every) if n % options.workers == number]
        (own / "mutants.json").write_text(json.dumps(mine))
        (own / "modules.json").write_text(json.dumps(paths))
        # All sessions use the same map, so the first one alone makes it.
        if number == 0:
            finish(start(own, tree, tests, reach, MUTANTS_ONLY_REACH="1"), own)
            problems(reach)
        sessions.append((own, start(own, tree, tests, reach)))
    for own, session in sessions:
        finish(session, own)
    lines = [
        line
        for own, _ in sessions
        if (own / "results.jsonl").exists()
        for line in (own / "results.jsonl").read_text().splitlines()
    ]
    return {one["number"]: one for one in map(json.loads, lines)}


def problems(reach: Path) -> None:
    tests = json.loads(reach.read_text())
    failed = [name for name, one in tests.items() if one["failed"]]
    print(f"{len(tests)} tests, {sum(one['seconds'] for one in tests.values()):.0f} s", flush=True)
    for name in failed:
        print(f"  fails without any mutant, and is left out: {name}")


def copied(tree: Path) -> Path:
    tree.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, tree / name)
    return tree


def start(own: Path, tree: Path, tests: list[str], reach: Path, **more: str) -> subprocess.Popen[bytes]:
    """Run a session; compiled files are not kept, because one could be used for another change of the same file."""
    env = {
        **os.environ,
        "PYTHONPATH": f"{tree / 'src'}:{tree}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MUTANTS_WORK": str(own),
        "MUTANTS_REACH": str(reach),
        "DRILLBOOK_EXAMPLES": "24",
        "XDG_CONFIG_HOME": str(own / "config"),
        **more,
    }
    env.pop("DRILLBOOK_REQUIRE", None)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "bench.mutants.session",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:cov",
        "-p",
        "no:terminalreporter",
        *tests,
    ]
    with (own / "session.log").open("ab") as log:
        return subprocess.Popen(argv, cwd=tree, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def finish(session: subprocess.Popen[bytes], own: Path) -> None:
    if session.wait() not in (0, 5):
        print((own / "session.log").read_text(errors="replace")[-4000:])
        raise SystemExit("the session of pytest ended before its work was done")


def told(every: list[Mutant], results: dict[int, dict[str, Any]], least: float) -> int:
    """Print survivors and rates. Return the exit status."""
    reasons = (
        {
            (one["module"], one["function"], one["before"], one["after"]): one["reason"]
            for one in tomllib.loads(SURVIVORS.read_text()).get("survivor", [])
        }
        if SURVIVORS.exists()
        else {}
    )
    killed, total = Counter[str](), Counter[str]()
    new = 0
    for number, one in enumerate(every):
        result = results[number]
        total[one.module] += 1
        killed[one.module] += bool(result["killer"])
        if not result["killer"]:
            reason = reasons.get(one.key, "")
            new += not reason
            print(
                f"\nsurvived  {one.module}.py:{one.line} {one.function}  [{one.operator}, {result['tests']} tests]\n"
                f"  - {one.before}\n  + {one.after}\n  {reason or NEW}"
            )
    print()
    for module in sorted(total):
        print(f"{module:10} {killed[module]:4} of {total[module]:4}  {killed[module] / total[module]:6.1%}")
    rate = sum(killed.values()) / max(1, sum(total.values()))
    print(f"{'all':10} {sum(killed.values()):4} of {sum(total.values()):4}  {rate:6.1%}; {new} survivors without a reason")
    return 0 if rate >= least else 1


if __name__ == "__main__":
    sys.exit(main())
