"""An unusable plugin causes one clear error that names it, and never blocks an undo."""

from __future__ import annotations

import shutil

import pytest

from drillbook.trust import plugins
from tests.plugins.conftest import MAIN, SOURCE, Project, environment, install

OK = "from drillbook.sdk.discovery import System\n\nSYSTEM = System(__name__, {})\n"
ACTION = '''\
from drillbook.sdk.action import Context, Facts, Place, Read


class Look(Read):
    {doc}

    PLACE = Place.HOSTS

    def run(self, ctx: Context) -> Facts:
        """No facts."""
        return {{}}
'''
BROKEN = {
    "import error": ("import nowhere_at_all\n" + OK, "", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "a syntax error": ("def (:\n", "", "SyntaxError"),
    "no system": ("", "", "does not declare SYSTEM"),
    "another thing": ("SYSTEM = 5\n", "", "does not declare SYSTEM"),
    "it ends the program": ("raise SystemExit(0)\n", "", "SystemExit: 0"),
    "name of a built-in family": (
        "actions={'postgres': '.actions'}",
        ACTION,
        "defines actions 'postgres', which Drillbook itself already defines",
    ),
    "name of a built-in kind": (
        "services={'redis': '.actions'}",
        ACTION,
        "defines services of the kind 'redis', which Drillbook itself",
    ),
    "a finding of another": (
        "findings='.actions'",
        "from drillbook.sdk import HIGH, Kind\nFINDINGS = {'table-missing': Kind(HIGH, 'a', 'b')}\n",
        "the finding code 'table-missing' is already defined elsewhere",
    ),
    "a list instead of a mapping": ("actions=['.actions']", ACTION, "`actions` must be a mapping of names to modules"),
    "a mapping without a module": ("actions={'broken': None}", ACTION, "`actions` must be a mapping of names to modules"),
    "nothing instead of a mapping": ("services=None", ACTION, "`services` must be a mapping of names to modules"),
    "a number for the findings": ("findings=5", ACTION, "`findings` must be a text, not 5"),
    "a number for the drills": ("drills=5", ACTION, "`drills` must be a text, not 5"),
    "a list of needed systems": ("needs=['linux']", ACTION, "`needs` must be a tuple of names"),
    "another package": (
        "from drillbook.sdk.discovery import System\n\nSYSTEM = System('elsewhere')\n",
        "",
        "there is no package 'elsewhere'",
    ),
    "a module elsewhere": (
        "actions={'broken': 'actions'}",
        ACTION,
        "names the module 'actions', which is outside its package",
    ),
}
LATER = {
    "no docstring": ("actions={'broken': '.actions'}", ACTION.format(doc="..."), "TypeError: broken.look has no docstring"),
    "a module with an import error": (
        "actions={'broken': '.actions'}",
        "import nowhere_at_all\n",
        "No module named 'nowhere_at_all'",
    ),
    "no such module": ("actions={'broken': '.lost'}", "", "No module named"),
}
"""Plugins that fail when a name of theirs is looked up."""


def written(folder, init, actions):
    folder.mkdir(parents=True)
    init = init if "\n" in init or not init else OK.replace("{}", init)
    (folder / "__init__.py").write_text(f'"""A broken plugin."""\n\n{init}')
    (folder / "actions.py").write_text(
        '"""Its actions."""\n\n' + (actions if "{doc}" not in actions else actions.format(doc='"""Look."""'))
    )


@pytest.fixture
def trusted(tmp_path, server):
    """Project with a plugin in `plugins/broken`, trusted with any content."""

    def make(init, actions):
        made = Project(tmp_path / "project", server)
        made.site()
        (made.root / "inventory" / "lab.yml").write_text("environment: lab\nhosts: {controller: {local: true}}\n")
        written(made.root / "plugins" / "broken", init, actions)
        made.environment["DRILLBOOK_TRUST"] = plugins.read(made.root).digest
        return made

    return make


@pytest.mark.parametrize("case", BROKEN)
def test_it_is_one_error_that_names_it(trusted, case):
    init, actions, said = BROKEN[case]
    project = trusted(init, actions)
    for argv in (["drill.list"], ["actions"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: the plugin of plugins/broken "), done.stderr
        assert said in done.stderr
    for argv in (["drill.recover"], ["lab.down"], ["trust", "--show"]):
        done = project.run(*argv)
        assert (done.returncode, done.stderr) == (0, ""), (argv, "what needs no plugin goes on")
    assert said in done.stdout


@pytest.mark.parametrize("case", LATER)
def test_what_is_wrong_in_a_module_is_told_when_it_is_asked_for(trusted, case):
    init, actions, said = LATER[case]
    project = trusted(init, actions)
    project.good("drill.list")
    project.good("actions", "postgres.dump")
    for argv in (["actions"], ["actions", "broken.look"], ["schema", "drill"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: the plugin of plugins/broken "), done.stderr
        assert said in done.stderr


@pytest.mark.parametrize(
    "init", ["import nowhere_at_all\n", "actions={'postgres': '.actions'}", ""], ids=["import", "name", "none"]
)
def test_one_that_is_installed_is_named_by_its_distribution(tmp_path, server, init):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "backend.py"):
        text = (SOURCE / name).read_text()
        (source / name).write_text(text.replace("drillbook_ledger:SYSTEM", "drillbook_ledger"))
    written(source / "drillbook_ledger", init, ACTION)
    python = environment(tmp_path / "environment")
    install(python, source)
    project = Project(tmp_path / "project", server)
    shutil.rmtree(source)
    project.program = [str(python), "-P", "-c", MAIN]
    for argv in (["drill.list"], ["actions"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: the plugin of the distribution drillbook-ledger "), done.stderr
    for argv in (["drill.recover"], ["report.list"], ["--list"], ["--help", "drill"], ["--version"]):
        done = project.run(*argv)
        assert (done.returncode, done.stderr) == (0, ""), (argv, done.stdout + done.stderr)
