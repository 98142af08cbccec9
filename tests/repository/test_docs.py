"""The documentation matches the code."""

import re
from pathlib import Path

import pytest
import tasks as checkout

from drillbook.installation.extras import MODULES
from drillbook.installation.program_name import TASKS
from drillbook.plan import drill_files, planner, spec
from drillbook.project.project import Project
from drillbook.reference import backup_methods, pages
from drillbook.reference.handbook import page
from drillbook.sdk.action import known_names
from drillbook.sdk.become import Become
from drillbook.sdk.health import HealthRequest
from drillbook.sdk.sandbox_config import SandboxConfig

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(pages.makers()))
def test_generated_pages_are_current(name):
    path = ROOT / "docs" / name
    assert path.is_file(), "run `invoke docs`"
    assert path.read_text() == pages.text_of(name), "run `invoke docs`"


def test_the_page_of_the_handbook_is_current():
    text = (ROOT / "docs" / "handbook.md").read_text()
    assert text == page.page(Project(ROOT)), "run `invoke docs`"
    suite = Project(ROOT).drill("handbook")
    assert [name for name in suite.drills if f"| **{name}**<br>" not in text] == []


def test_the_table_of_backup_methods_is_that_of_the_drills_and_of_their_record():
    """No figure is typed by hand: the whole table is generated from the record of runs."""
    project, text = Project(ROOT), (ROOT / "docs" / backup_methods.PAGE).read_text()
    begin, _, rest = text.partition(backup_methods.BEGIN)
    table, end, after = rest.partition(backup_methods.END)
    assert end
    assert table.strip() == backup_methods.table(project).strip(), "run `invoke docs`"
    record = backup_methods.recorded(project)
    names = backup_methods.names(project)
    assert set(names) >= {name for name in project.drill_names() if name.startswith("rehearse-")}
    assert not record.results.keys() - set(names), "run `invoke docs --results`"
    assert [name for name in names if f"`{name}`" not in table] == []
    rows = [line for line in table.splitlines() if line.startswith("| **")]
    assert len(rows) == sum(map(len, record.results.values()))
    for one in (one for some in record.results.values() for one in some):
        assert one.verdict == "passed"
        assert all(backup_methods.method(one.kind)), one.kind
        assert (one.seconds["total"] > 0, one.loss_s is not None, bool(one.rungs)) == (True, True, True)
    assert not re.search(r"\d s\b", begin + after.partition("\n## ")[0]), "a figure beside the table"


def test_every_action_is_in_the_reference():
    page = (ROOT / "docs" / "actions.md").read_text()
    assert [name for name in known_names() if f"### {name}\n" not in page] == []


def test_the_page_of_inventories_has_the_keys_of_mappings():
    """A key such as `sandbox` contains keys of its own: the page has a table of them, and each row of the key leads there."""
    text = (ROOT / "docs" / "inventories.md").read_text()
    for name, model in (("sandbox", SandboxConfig), ("health", HealthRequest), ("become", Become)):
        table = text.partition(f"\n### {name}\n")[2]
        table = re.split(r"\n##+ ", table, maxsplit=1)[0]
        assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(model.model_fields)
        rows = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert [line for line in rows if f"[Keys](#{name})" not in line] == []


def test_pages_name_one_program():
    """`drillbook` on all pages, as the first page says. `invoke` is for tasks of a checkout, and for the README's first command."""
    rule = "Commands are written `drillbook TASK`, on all pages. In a checkout"
    assert all(rule in (ROOT / name).read_text() for name in ("README.md", "docs/index.md"))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = {
        f"{path.name}: {text}"
        for path in pages
        if path.name != "CHANGELOG.md"
        for text in re.findall(rf"invoke\s+(?:{'|'.join(TASKS)})\b(?:\.\w+)?(?!:)", path.read_text())
    }
    assert found == {"README.md: invoke drill", "safety.md: invoke drill"}, "write `drillbook TASK`"


def test_generated_project_files_name_one_program():
    """A project has the program `drillbook`; its file of tasks is the only one that is for `invoke`."""
    templates = ROOT / "src" / "drillbook" / "cli" / "templates"
    texts = {path.name: path.read_text() for path in templates.rglob("*") if path.is_file()}
    assert [name for name, text in texts.items() if re.search(r"\binvoke\b", text)] == ["tasks.txt"]
    assert all("drillbook drill @NAME@" in text for name, text in texts.items() if name == "github.yml")


def test_the_page_of_the_installation_names_every_extra():
    text = (ROOT / "docs" / "install.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(re.findall("`([a-z]+)`", " ".join(cells))) == sorted(MODULES)


def test_links_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_exit_status_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^\| (\d) \|", text, re.MULTILINE) == ["0", "1", "2", "3", "4", "5"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The inventory of a lab, read once for all drills."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRILLBOOK_LAB", str(tmp_path_factory.mktemp("lab")))
        yield Project(ROOT).inventory("lab")


@pytest.mark.parametrize("name", sorted(drill_files.names_in(ROOT / "drills")))
def test_every_shipped_drill_plans_on_the_lab(name, lab):
    project = Project(ROOT)
    found = project.drill(name)
    if isinstance(found, spec.Suite):
        assert set(found.drills) <= drill_files.names_in(ROOT / "drills").keys()
    else:
        assert planner.make(found, lab).steps


def test_the_tests_that_safety_names_are_there():
    """A promise without a test is likely to be broken."""
    text = (ROOT / "docs" / "safety.md").read_text()
    file, named = "", 0
    for word in re.findall(r"`(tests/\S+\.py|test_\w+)`", text):
        if word.startswith("tests/"):
            file = (ROOT / word).read_text()
        else:
            assert f"def {word}(" in file, word
            named += 1
    assert named > 50


def test_the_commands_that_the_pages_show_exist():
    tasks = checkout.namespace.task_names
    known = {*tasks, *(alias for aliases in tasks.values() for alias in aliases)}
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        shown = re.findall(
            r"(?:invoke|drillbook)\s+([a-z]+(?:\.[a-z]+)?)(?=[\s`])",
            re.sub(r"```yaml.*?```", "", path.read_text(), flags=re.S),
        )
        commands = [word for word in shown if "." in word or word in known]
        assert [word for word in commands if word not in known] == [], path.name
