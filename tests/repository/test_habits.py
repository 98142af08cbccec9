"""Checks of the repository's own tools: hooks, CI, lists of exceptions, docstrings."""

import ast
import re
import subprocess
import time
import tomllib
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bench import release
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from drillbook.audit import formats as audit_formats
from drillbook.campaign import scorecard
from drillbook.cli import developer_tasks
from drillbook.journal import run_files
from drillbook.report import formats as report_formats
from drillbook.report import index_age
from tests.cli.ci_schema import assert_fits

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = (ROOT / ".ci" / "run").read_text()
WORKFLOWS = ROOT / ".github" / "workflows"


def test_every_hook_runs_what_is_installed_and_downloads_nothing():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    hooks = {hook["id"]: hook for hook in repo["hooks"]}
    assert {hook["language"] for hook in hooks.values()} == {"system"}
    assert set(hooks) == {"ruff-check", "ruff-format", "mypy", "shellcheck", "codespell", "commit-subject", "fast-tests"}
    assert (hooks["fast-tests"]["stages"], hooks["commit-subject"]["stages"]) == (["pre-push"], ["commit-msg"])
    wanted = {re.match(r"[\w-]+", one)[0] for one in SETTINGS["project"]["optional-dependencies"]["dev"]}
    for name, hook in hooks.items():
        program = hook["entry"].split()[0]
        assert program in ("shellcheck", ".venv/bin/python") or program.removeprefix(".venv/bin/") in wanted, name


def test_pages_install_the_wheel_and_no_registered_name():
    """The name is not registered at a package index, so pip would find nothing there, or a package of somebody else."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*.py"))]
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in paths
        for line in path.read_text().splitlines()
        if re.search(r"\b(pip|pipx|uv tool) install (-\S+ )*['\"]?drillbook\b(?! @)", line)
    }
    assert found == set()


def test_ci_checks_what_invoke_check_does():
    assert "invoke check" in RUN
    assert " shellcheck" in RUN
    modules = {check.split()[0] for check in developer_tasks.CHECKS}
    assert modules == {"ruff", "mypy", "codespell_lib", "bench.unused"}
    assert "ruff format --check ." in developer_tasks.CHECKS


@pytest.mark.parametrize(("name", "command"), [("ci", "bash .ci/run"), ("night", "bash .ci/run --all ${{ matrix.part }}")])
def test_the_workflows_of_the_public_host_run_the_same_ci(name, command):
    path = WORKFLOWS / f"{name}.yml"
    assert_fits(path, "vendor.github-workflows")
    workflow = yaml.safe_load(path.read_text())
    job = workflow["jobs"][name]
    assert job["container"]["image"].startswith("debian:")
    assert job["steps"][-1] == {"run": command}
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"\S+@[0-9a-f]{40}", step["uses"]), "a tag can be moved"
            assert step["with"]["fetch-depth"] == 0, "turns and changes are found in the history"
    assert workflow["permissions"] == {"contents": "read"}


def test_of_a_pull_request_all_commits_are_the_change_and_of_main_the_push():
    """A push to a pull request has a previous commit, too: compared with it, tests broken by an earlier push would
    not run.
    """
    job = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())["jobs"]["ci"]
    assert job["env"]["DRILLBOOK_SINCE"] == "${{ github.event_name == 'push' && github.event.before || '' }}"


def test_every_night_all_tests_run():
    workflow = yaml.safe_load((WORKFLOWS / "night.yml").read_text())
    (when,) = workflow[True]["schedule"]  # `on` is a truth value in YAML 1.1
    assert re.fullmatch(r"\d+ \d+ \* \* \*", when["cron"])
    first, second = workflow["jobs"]["night"]["strategy"]["matrix"]["part"]
    assert second == f"--ignore={first}", "together they are all"
    assert (ROOT / first).is_dir()
    seen = {}
    developer_tasks.test.body(SimpleNamespace(run=lambda _, pty, env: seen.update(env)), all=True)
    export = "  export " + " ".join(f"{name}={value}" for name, value in seen.items()) + "\n"
    assert RUN.index("--all ]; then") < RUN.index(export) < RUN.index('bash -c "$command $*"') < RUN.index(".ci/flaky.py")
    assert RUN.index("beside &") < RUN.index(export), "what runs beside needs no more than usual"


def test_exceptions_of_the_spelling_and_of_unused_code_are_still_needed():
    tests = "".join(path.read_text(errors="replace") for path in (ROOT / "tests").rglob("*.py"))
    for line in (ROOT / "tests" / "misspelled.txt").read_text().splitlines():
        assert line in tests, line
    sources = "".join(
        path.read_text() for place in ("src", "bench/mutants", "bench/drill") for path in (ROOT / place).rglob("*.py")
    )
    for name in re.findall(r"^(?:_\.)?(\w+)", (ROOT / "bench" / "used.py").read_text(), re.MULTILINE):
        assert re.search(rf"\b{name}\b", sources), name


def test_the_changelog_begins_with_what_is_not_released_and_names_each_version_once():
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    for section in sections[1:]:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", section), section
    assert len(set(sections)) == len(sections)


def test_every_decision_says_context_decision_and_consequences():
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    navigation = (ROOT / "mkdocs.yml").read_text()
    for record in records:
        text = record.read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"], record.name
        assert f"decisions/{record.name}" in navigation


def test_every_file_that_a_decision_or_the_security_page_names_is_there():
    tracked = set(subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    for page in (*sorted((ROOT / "docs" / "decisions").glob("*.md")), ROOT / "SECURITY.md", ROOT / "docs" / "releasing.md"):
        for name in re.findall(r"`((?:src|tests|docs|bench|\.ci|\.github)/[\w./-]+\.\w+|\.ci/run)`", page.read_text()):
            assert name in tracked, f"{page.name}: {name}"


NOTES = "# Changelog\n\n## Unreleased\n\n### Fixed\n\n- A thing.\n"


def test_a_release_dates_what_was_unreleased_and_leaves_room_above_it():
    package, changelog = release.renumber('"""D."""\n\n__version__ = "0.1.0"\n', NOTES, "0.1.0", date(2026, 1, 31))
    assert '__version__ = "0.1.0"' in package
    assert changelog == "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-31\n\n### Fixed\n\n- A thing.\n"
    later = changelog.replace("## Unreleased\n", "## Unreleased\n\n### Added\n\n- Another.\n")
    package, changelog = release.renumber(package, later, "0.2.0", date(2026, 2, 1))
    assert '__version__ = "0.2.0"' in package
    assert re.findall("^## .*", changelog, re.MULTILINE) == [
        "## Unreleased",
        "## 0.2.0 - 2026-02-01",
        "## 0.1.0 - 2026-01-31",
    ]
    assert changelog.index("Another") < changelog.index("0.1.0")


def test_a_version_without_a_tag_takes_what_changed_since_it_was_prepared():
    package, older = '__version__ = "0.1.0"\n', "## 0.0.9 - 2026-01-01\n\n- C.\n"
    prepared = "## 0.1.0 - 2026-01-31\n\n### Added\n\n- B.\n\n### Fixed\n\n- Old."
    joined = "## 0.1.0 - 2026-02-01\n\n### Fixed\n\n- A thing.\n- Old.\n\n### Added\n\n- B."
    notes = f"{NOTES}\n{prepared}\n\n{older}"
    assert release.renumber(package, notes, "0.1.0", date(2026, 2, 1), ["v0.0.9"]) == (
        package,
        f"# Changelog\n\n## Unreleased\n\n{joined}\n\n{older}",
    )
    with pytest.raises(release.Refused, match=r"not newer than 0\.1\.0"):
        release.renumber(package, notes, "0.1.0", date(2026, 2, 1), ["v0.0.9", "v0.1.0"])


@pytest.mark.parametrize(
    ("version", "notes", "why"),
    [
        ("1.0", NOTES, "is no version"),
        ("0.0.9", NOTES, "not newer than 0.1.0"),
        ("0.1.0", NOTES + "\n## 0.1.0 - 2026-01-31\n\n- B.\n", "not newer than 0.1.0"),
        ("0.2.0", "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-31\n\n- B.\n", "nothing stands"),
        ("0.2.0", "# Changelog\n", "was not found"),
    ],
)
def test_a_release_that_cannot_be_is_refused(version, notes, why):
    with pytest.raises(release.Refused, match=why):
        release.renumber('__version__ = "0.1.0"\n', notes, version, date(2026, 1, 31))


def test_the_version_and_the_changelog_of_this_checkout_can_be_released():
    package = (ROOT / "src" / "drillbook" / "__init__.py").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text().replace("## Unreleased\n", "## Unreleased\n\n- A thing.\n", 1)
    release.renumber(package, changelog, "99.0.0", date(2026, 1, 31))


def test_the_table_of_changes_names_files_that_are_there():
    table = re.findall(
        r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", (ROOT / "docs/decisions/0001-where-a-change-goes.md").read_text(), re.M
    )
    rows = [row for row in table if row[0] not in ("change", "---")]
    assert len(rows) == 12
    for change, first, others in rows:
        named = [name for name in re.findall(r"`([\w./-]+)`", f"{first} {others}") if "/" in name and "mysql" not in name]
        assert named or change.startswith("an exit"), change
        for name in named:
            assert (ROOT / "src" / "drillbook" / name).exists(), f"{change}: {name}"


QUESTIONS = (
    "whatever|whoever|whichever|what|who|whom|whose|whether|which|how|why|when|where|if|that|those|there|is|are|was|were|does|do|did|has|have|had|"
    "can|could|may|might|will|would|should"
)


def _docstrings(tree):
    """Docstrings of a module, its classes and its functions, and texts below assignments."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, one in zip([None, *body], body, strict=False) if isinstance(body, list) else ():
            text = one.value.value if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) else None
            if isinstance(text, str) and (before is None or isinstance(before, ast.Assign | ast.AnnAssign)):
                yield one.lineno, text


def test_docstrings_say_what_a_thing_is_and_ask_no_question():
    asking = re.compile(rf"\s*(?!do (?:not|nothing)\b)(?:{QUESTIONS})\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.strip().splitlines()[0]}"
        for place in ("src", "tests", "bench", ".ci")
        for path in sorted((ROOT / place).rglob("*.py"))
        for line, text in _docstrings(ast.parse(path.read_text()))
        if asking.match(text)
    ]
    assert not found, "\n".join(["begin with a verb or a noun of the field:", *found])


def test_no_text_shows_an_expression_instead_of_its_value():
    """A text without its prefix f would print `{len(points)}`."""
    expression = re.compile(r"\{(?:len\(|self\.|\w+\.\w+\(|\w+\(\w)")
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in one.values}
        texts = [one for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        found += [f"{path}:{one.lineno}" for one in texts if id(one) not in inside and expression.search(one.value)]
    assert not found


PATIENT = {"tests/waiting.py"}
"""Modules that may sleep for any time: the helpers that say what a test waits for."""


def _constants(tree):
    """Numbers that are assigned to names at the top of a module, also several in one line."""
    known = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            known |= {
                name.id: value.value
                for name, value in pairs
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, int | float)
            }
    return known


def _short(value, constants):
    """Return True when a sleep of ``value`` is certainly shorter than 0.2 s."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "min":
        return any(_short(part, constants) for part in value.args)
    number = value.value if isinstance(value, ast.Constant) else constants.get(ast.unparse(value))
    return number is not None and number < 0.2


def test_tests_wait_for_conditions_and_do_not_sleep():
    """A sleep is allowed only as the pause between two looks at a condition; for other waits there are helpers in
    `tests/waiting.py`.
    """
    bad = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = _constants(tree)
        bad += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("time.sleep", "sleep")
            and not _short(node.args[0], constants)
            and str(path.relative_to(ROOT)) not in PATIENT
        ]
    assert not bad, "\n".join(["await a condition, or say with tests/waiting.py what the time is for:", *bad])


CLOCKS = ("time.monotonic()", "time.perf_counter()", "time.time()")
"""Clocks that go on while a busy machine leaves the test alone. The CPU time of the process (`process_time`) does not."""
SINCE = re.compile(r"\.clock(\(\))?$|\['(?:age_s|loss_s)'\]$")
"""Figures of the product that go on with the clock."""
WIDE_S = 300
"""Only a limit of this length shows that something was not waited for, and no more."""


def _timed(node, names):
    """Return True for a reading of a clock, or for a difference of one, also by names."""
    match node:
        case ast.Call():
            inner = [*node.args, node.func.value] if isinstance(node.func, ast.Attribute) else node.args
            return ast.unparse(node) in CLOCKS or any(_timed(part, names) for part in inner)
        case ast.BinOp(op=ast.Sub()):
            return _timed(node.left, names) or _timed(node.right, names)
        case ast.Name():
            return node.id in names
    return False


def _tight(function, constants):
    """Comparisons in assertions of a function of a time with a limit that a busy machine exceeds."""
    names, nodes = set(), sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0))
    for node in nodes:
        if isinstance(node, ast.Assign | ast.NamedExpr) and _timed(node.value, names):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    asserted = [part for node in nodes if isinstance(node, ast.Assert) for part in ast.walk(node.test)]
    for node in (part for part in asserted if isinstance(part, ast.Compare)):
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, node.comparators, strict=False):
            small, large = (right, left) if isinstance(operator, ast.Gt | ast.GtE) else (left, right)
            limit = large.value if isinstance(large, ast.Constant) else constants.get(ast.unparse(large))
            tight = isinstance(limit, int | float) and limit < WIDE_S and not isinstance(operator, ast.Eq | ast.NotEq)
            if tight and (_timed(small, names) or SINCE.search(ast.unparse(small))):
                yield node


def _tight_ones(tree):
    """Tight comparisons of a module, each once."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node for function in functions for node in _tight(function, _constants(tree))]


def test_tests_assert_order_and_events_and_no_tight_time():
    """An assertion on seconds fails on a busy machine; only a wide limit shows that something was not waited for."""
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in _tight_ones(ast.parse(path.read_text()))
    ]
    assert not bad, "\n".join(["assert events or their order:", *bad])


TIGHT = """
LIMIT = 60
def test_it():
    begun = time.monotonic()
    took = time.monotonic() - begun
    assert time.monotonic() - begun < 5
    assert took < LIMIT
    assert 0 <= asked[-1] - begun <= 3.0
    assert 3.0 > took
    assert finished.clock < 60
    assert facts["age_s"] < 60
    assert abs(seen.timestamp() - time.time()) < 120
"""


def test_a_tight_time_is_seen_through_names_and_figures():
    assert [node.lineno for node in _tight_ones(ast.parse(TIGHT))] == [6, 7, 8, 9, 10, 11, 12]
    wide = TIGHT.replace("60", "600").replace("120", "300").replace("3.0", "found['seconds']").replace("< 5", "< 300")
    assert _tight_ones(ast.parse(wide)) == []


FORMAT_LISTS = (
    "journal/run_files.py",
    "report/formats.py",
    "report/audit_pages.py",
    "report/index_age.py",
    "audit/formats.py",
)
"""Modules that name the files of runs, suites, campaigns, audits and the index. `campaign/scorecard.py` needs no other name."""


def _paths(path):
    """Constant texts of a module without a blank, also parts of f-texts: what may be, or end with, the name of a file."""
    if path.suffix == ".j2":
        return re.findall(r"[\w./-]+", path.read_text())
    constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return [text for text in constants if isinstance(text, str) and not re.search(r"\s", text)]


def test_files_of_reports_are_named_in_one_place():
    source = ROOT / "src" / "drillbook"
    rendered = [*report_formats.FORMATS, *audit_formats.FORMATS, *scorecard.FORMATS]
    names = {entry.file for entry in rendered} | {run_files.ATTESTATION, index_age.PAGE}
    assert len(names) == 11
    ending = re.compile(rf"(?:^|/)(?:{'|'.join(map(re.escape, names))})(?:\.sig)?$")
    places = [path for end in ("py", "j2") for path in source.rglob(f"*.{end}")]
    found = {
        (str(path.relative_to(source)), text)
        for path in places
        if str(path.relative_to(source)) not in FORMAT_LISTS
        for text in _paths(path)
        if ending.search(text) and "systems" not in path.parts  # evidence of a step
    }
    assert not found, found
    named = [text for place in FORMAT_LISTS for text in set(_paths(source / place)) if ending.search(text)]
    assert sorted(named) == sorted(names), "each in one of the lists"


def test_no_text_leaves_the_plural_to_its_reader():
    """A number and its noun agree, or the text avoids the plural."""
    places = [
        path for root in ("src", "drills", "lab") for end in ("py", "j2", "yml") for path in ROOT.glob(f"{root}/**/*.{end}")
    ]
    assert len(places) > 500
    told = re.compile(r"(?<=[ }])[a-z]+\((?:s|es|ies)\)(?=[ .,;:\"'])")
    assert [path for path in places if told.search(path.read_text())] == []


def test_a_busy_machine_fails_no_test_by_examples():
    """Examples that are drawn slowly, as on a machine that does much else, are no mistake of a test."""

    @settings(max_examples=10, phases=[Phase.generate], database=None)
    @given(st.integers().map(lambda number: time.sleep(0.15) or number))
    def property_(number):
        assert isinstance(number, int)

    property_()


VAGUE = ("found", "one")
"""Names that say nothing of the thing that they stand for."""
IN_FORMATS = {"diagnosis/run.py", "events/steps.py", "judge/result.py"}
"""Modules whose records have such a key. The key is part of a format, which does not change."""


def _vague_names(path):
    """Return the vague names that the module gives to variables, parameters and functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        name = node.id if stored else node.arg if isinstance(node, ast.arg) else getattr(node, "name", None)
        if name in VAGUE:
            yield name


def test_names_say_what_they_stand_for():
    source = ROOT / "src" / "drillbook"
    vague = {str(path.relative_to(source)): list(_vague_names(path)) for path in source.rglob("*.py")}
    assert {place: names for place, names in vague.items() if names} == {place: ["found"] for place in IN_FORMATS}
