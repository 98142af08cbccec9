"""Tables and indexes that a PostgreSQL plan reads, from the output of `EXPLAIN (FORMAT JSON)`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from drillbook.systems.postgres.connection import Connection


def explain(session: Connection, query: str) -> dict[str, Any]:
    """Get the plan of a statement without running it. Raises psycopg.Error."""
    session.execute("BEGIN READ ONLY")
    # The prepared form accepts only one statement: a second one could end the read-only transaction.
    row = session.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), prepare=True).fetchone()
    session.execute("ROLLBACK")
    return dict(row[0][0]["Plan"]) if row else {}


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the top node of a plan and all nodes below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


def indexes_of(plan: dict[str, Any]) -> list[str]:
    """Return the names of the indexes that a plan uses."""
    return sorted({node["Index Name"] for node in nodes_of(plan) if "Index Name" in node})


def scanned_by(plan: dict[str, Any]) -> list[str]:
    """Return the names of the tables that a plan reads by a sequential scan."""
    return sorted({node["Relation Name"] for node in nodes_of(plan) if node.get("Node Type") == "Seq Scan"})


def reads_of(plan: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each sequential scan in a plan, and the number of times that the scan runs in one execution of the plan.

    The planner estimates this number. It is above 1 for a scan in a subquery that runs again for every row, and for a scan
    on the inner side of a nested loop.
    """
    yield from _reads(plan, 1, 1 << 62, json.dumps(plan))


def _reads(node: dict[str, Any], times: int, limit: int, whole: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield ``node`` if it is a sequential scan, and then all sequential scans below it. ``reads_of`` calls this function.

    ``times``: number of times that ``node`` is executed; ``limit``: number of rows after which ``node`` stops; ``whole``:
    text of the whole plan. This text is searched for subplans that are marked as `hashed`, because such a subplan runs only
    once.
    """
    if node.get("Node Type") == "Seq Scan":
        yield node, times
    rows = int(node.get("Plan Rows", 1))
    limit = min(limit, rows) if node.get("Node Type") == "Limit" else limit
    inner = node.get("Plans", [])
    for child in inner:
        each = 1
        if child.get("Parent Relationship") == "SubPlan" and f"hashed {child.get('Subplan Name')}" not in whole:
            each = min(rows, limit)
        elif (
            node.get("Node Type") == "Nested Loop"
            and child.get("Parent Relationship") == "Inner"
            and child.get("Node Type") != "Materialize"
        ):
            each = int(inner[0].get("Plan Rows", 1))
        yield from _reads(child, times * max(1, each), limit, whole)
