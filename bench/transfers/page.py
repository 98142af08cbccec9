"""The page docs/measurements/transfers.md, generated from the results in docs/measurements/transfers.json."""

from __future__ import annotations

import operator
import statistics
from typing import Any

from bench.overhead.page import store
from bench.transfers.methods import METHODS

TITLE = "# Backups to a store beside bare pipelines\n\n"
HEAD = """\
Made by `invoke bench.transfers` from `transfers.json` beside this page; no figure is typed by hand. Each row is the median of its
pairs, with {size} MB of data, on {cores} cores of {processor} with {memory} MB of memory. In each pair the bare pipeline and the
step of a drill back up the same data to the same object store, in turn first. Both run in the embedded lab, whose PostgreSQL,
SSH server and object store share the cores with them. One pair before them is not counted. Behind a ratio stands the middle half of
the ratios of its pairs.

| step | bare pipeline | pairs | bare, s | step, s | ratio | whole drill, s | peak, MB |
|---|---|---|---|---|---|---|---|
"""
TAIL = """
The bare pipelines are those of a careful administrator, with the checks of the step. All times are of the monotonic clock.

- *Bare, postgres.dump*: one session exports a snapshot. In it, `pg_dump --format=directory --jobs=2 --compress=1 --no-sync` writes the
  tables while two more sessions read the number of rows and the digest of each table, by the same SQL as the step; beside them runs
  `pg_dumpall --globals-only`. Then come `sha256sum` of every file, two at a time, the upload, and the removal of the local files. The
  database has four tables: a half of the data, a quarter, and two eighths.
- *Bare, files.archive*: `sha256sum` of every file, two processes at a time; `tar --format=posix --sparse --xattrs --acls` to
  `zstd -1 -T0`; `sha256sum` of the archive, the upload, and the removal of the archive. One half of the files is noise, the other
  text; each has 1 MB. The step reads all files once more than that, after they are archived, to notice any change.
- *Upload*: by boto3 in a process that has loaded it already, in parts of 32 MB, four at a time, each with its SHA-256, which the store
  compares. Over plain HTTP, boto3 computes one more SHA-256 of each part, to sign it.
- *Step*: duration of the whole step of the drill, over SSH to a host of the lab, with its own checks: that the store lists every file
  with its size, and the manifest that is written last.
- *Whole drill*: the process from its start to its end, which also plans, asks whether the steps are ready, takes leases, downloads
  the backup to verify it, signs and reports.
- *Peak*: VmHWM of the controller's process, the largest of all pairs. The data never passes through it.
"""
UNMEASURED = (
    "Not measured yet for this version: `invoke bench.transfers` on a machine that does nothing else writes this page.\n"
)


def line(pairs: dict[str, Any]) -> str:
    """One row of the table."""
    bare, step, drill = (statistics.median(pairs[key]) for key in ("bare", "step", "drill"))
    ratios = [*map(operator.truediv, pairs["step"], pairs["bare"])]
    low, high = (min(ratios), max(ratios)) if len(ratios) < 2 else statistics.quantiles(ratios, method="inclusive")[::2]
    return (
        f"| {pairs['method']} | {pairs['tool']} | {len(ratios)} | {bare:.2f} | {step:.2f} | {pairs['step_ratio']:.3f} "
        f"({low:.2f} to {high:.2f}) | {drill:.2f} | {max(pairs['peak_kib']) / 1024:.0f} |"
    )


def rendered(results: dict[str, Any]) -> str:
    """Format the page."""
    if not results["methods"]:
        return TITLE + UNMEASURED
    machine = results["machine"]
    head = HEAD.format(
        size=results["size_mb"], cores=machine["cores"], processor=machine["processor"], memory=machine["memory_mb"]
    )
    rows = "".join(f"{line(pairs)}\n" for pairs in results["methods"])
    moments = ", ".join(f"{pairs['method']} at {pairs['measured_at']}" for pairs in results["methods"])
    return f"{TITLE}{head}{rows}{TAIL}- *Measured*: {moments}.\n"


def write(results: dict[str, Any]) -> None:
    """Replace the older results of the same methods, and write the page of all results."""
    store("transfers", results, [method.name for method in METHODS], rendered)
