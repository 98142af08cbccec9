"""The layers: each module imports only what stands to its left. Read from the source with ``ast``, nothing is run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "drillbook"

LAYERS = [
    {"errors", "account", "protection"}, {"explaining", "answers"}, {"events"}, {"findings"}, {"values", "console", "invoking", "runfolder"}, {"signed"}, {"encodings"}, {"services", "redact", "strict", "evidencefile"}, {"host"}, {"scratch"}, {"limits"}, {"web", "s3client"}, {"identity"}, {"manager", "leases"},
    {"store"}, {"undo"}, {"action"}, {"nofollow"}, {"free"}, {"carry"}, {"transfer", "stored"}, {"vouchers"}, {"backupset"}, {"probe"}, {"budget"}, {"template", "placeholders"}, {"postgresql", "archive", "keyspace", "vectors", "hostfaults", "monitoring", "containers"}, {"patterns"}, {"ansible"}, {"reading"}, {"window"}, {"inventory", "entries"}, {"diagnosing"}, {"spec"}, {"planned"}, {"restorable", "needed"}, {"plan", "guard", "approval", "closing"}, {"journal"},
    {"sampling", "written"}, {"evidence", "capacity", "tracing"},
    {"intents", "remains", "provenance"}, {"remedy"}, {"hosts", "actions", "probes", "lab"}, {"result"}, {"left"}, {"tracks", "notes", "detection", "faultstate"}, {"recording", "stopping", "reaching", "liveness", "pulse"}, {"holding"}, {"steps", "probing"}, {"revert", "gate"}, {"ending"}, {"hosting", "departed"}, {"watching", "readiness", "mended", "restoring"}, {"runner", "recovery", "clearing"}, {"settlement"},
    {"figures"}, {"availability"}, {"measure", "diagnosed"}, {"judge"}, {"report", "earlier"}, {"attesting"}, {"contacting"}, {"project", "reference", "schema", "views", "verifying"}, {"anchoring", "trust"}, {"conduct", "handbook", "listing", "audit", "scaffold", "overview"}, {"checking", "showing", "halting", "incident", "labs"}, {"desk", "rehearsal"}, {"settling", "trusting"}, {"tasks"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """Top-level names inside the package that ``path`` imports, also in functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "drillbook" else [f"drillbook.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("drillbook.") and name.split(".")[1] != "__version__":
                yield name.split(".")[1], node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_the_left(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if name == "__init__":
        return
    assert name in RANK, f"{name} has no layer: give it one in LAYERS"
    for other, line in imported(path):
        assert other in RANK, f"{path.name}:{line}: {other} has no layer"
        if other == "findings" and name == "errors":
            continue  # for type checking only: an error carries findings
        assert other == name or RANK[other] < RANK[name], f"{path.name}:{line}: {name} may not import {other}"


@pytest.mark.parametrize("name", ["judge", "faultstate", "measure", "availability", "figures", "tracks", "result", "report"])
def test_the_judge_and_the_reports_never_see_a_host(name):
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        path = PACKAGE / f"{current}.py"
        files = [path] if path.exists() else sorted((PACKAGE / current).rglob("*.py"))
        for other in {other for file in files for other, _ in imported(file)} - seen:
            seen.add(other)
            todo.append(other)
    assert not seen & {"hosts", "actions", "probes", "lab", "runner", "steps", "probing"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path):
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 45, f"{path.name}:{node.lineno}: {node.name} has {length} lines"


def test_names_are_the_fields_words():
    assert not {path.stem for path in MODULES} & {"utils", "common", "helpers", "base", "core", "misc"}
