"""The page docs/measurements/overhead.md, generated from the results in docs/measurements/overhead.json."""

from __future__ import annotations

import json
import operator
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.overhead.methods import METHODS

FOLDER = Path(__file__).parents[2] / "docs" / "measurements"
HEAD = """\
# Overhead of Drillbook over the bare restore

Made by `invoke bench.overhead` from `overhead.json` beside this page; no figure is typed by hand. Each row is the median of its
pairs, with {size} MB of data, on {cores} cores of {processor} with {memory} MB of memory. In each pair the bare tool and a drill
restore the same backup, in turn first, on the same file system ({file_system}), with the same settings of the servers. One pair
before them is not counted. Behind a ratio stands the middle half of the ratios of its pairs.

| method | bare restore | pairs | bare, s | Drillbook, s | ratio | with list and isolation, s | ratio | whole drill, s | peak, MB |
|---|---|---|---|---|---|---|---|---|---|
"""
TAIL = """
- *Bare*: the commands of the second column in a shell, until the copy can be used. All times are of the monotonic clock.
- *Drillbook*: the restore of the step `backup.restore` with its own checks of the copy, from the empty sandbox to the copy that can
  be used. The ratio is the median of the ratios of the pairs.
- *With list and isolation*: the whole step. Before the restore it lists the backups by the tool and chooses one, makes the sandbox,
  and tries to reach production from it. A bare restore does none of that, and its time does not grow with the data.
- *Whole drill*: the process from its start to its end, which also takes leases, removes the sandbox, signs and reports.
- *Peak*: VmHWM of the controller's process, the largest of all pairs. The data never passes through it.
"""


UNMEASURED = """\
# Overhead of Drillbook over the bare restore

Not measured yet for this version: `invoke bench.overhead` on a machine that does nothing else writes this page.
"""


def line(pairs: dict[str, Any]) -> str:
    """One row of the table."""
    numbers = {key: statistics.median(pairs[key]) for key in ("bare", "restore", "step", "drill")}
    peak = max(pairs["peak_kib"]) / 1024
    low, _, high = statistics.quantiles(map(operator.truediv, pairs["restore"], pairs["bare"]), method="inclusive")
    return (
        f"| {pairs['method']} | {pairs['tool']} | {len(pairs['bare'])} | {numbers['bare']:.2f} | {numbers['restore']:.2f} "
        f"| {pairs['ratio']:.3f} ({low:.2f} to {high:.2f}) | {numbers['step']:.2f} "
        f"| {pairs['step_ratio']:.3f} | {numbers['drill']:.2f} | {peak:.0f} |"
    )


def rendered(results: dict[str, Any]) -> str:
    """Format the page."""
    if not results["methods"]:
        return UNMEASURED
    machine = results["machine"]
    head = HEAD.format(
        size=results["size_mb"],
        cores=machine["cores"],
        processor=machine["processor"],
        memory=machine["memory_mb"],
        file_system=results["file_system"],
    )
    moments = ", ".join(f"{pairs['method']} at {pairs['measured_at']}" for pairs in results["methods"])
    return head + "".join(f"{line(pairs)}\n" for pairs in results["methods"]) + TAIL + f"- *Measured*: {moments}.\n"


def write(results: dict[str, Any]) -> None:
    """Replace the older results of the same methods, and write the page of all results."""
    store("overhead", results, [method.name for method in METHODS], rendered)


def store(name: str, results: dict[str, Any], order: Sequence[str], page: Callable[[dict[str, Any]], str]) -> None:
    """Write the results of some methods to ``name``.json in addition to the results of others, and ``page`` of all to
    ``name``.md. Results of other data or of another machine are dropped. ``order``: the names of the methods.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    earlier: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    same = all(earlier.get(key) == results[key] for key in ("size_mb", "file_system", "machine"))
    methods = {pairs["method"]: pairs for pairs in [*(earlier["methods"] if same else []), *results["methods"]]}
    results = {**results, "methods": [methods[method] for method in order if method in methods]}
    path.write_text(json.dumps(results, indent=2) + "\n")
    (FOLDER / f"{name}.md").write_text(page(results))
