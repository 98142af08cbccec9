"""An unusable plugin causes one clear error that names it, and never blocks an undo."""

from __future__ import annotations

import shutil
import subprocess
import sys

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
    "a text instead of a truth value": ("own_backups='yes'", ACTION, "`own_backups` must be True or False"),
    "a list of needed systems": ("needs=['linux']", ACTION, "`needs` must be a tuple of names"),
    "another package": (
        "from drillbook.sdk.discovery import System\n\nSYSTEM = System('elsewhere')\n",
        "",
        "there is no package 'elsewhere'",
    ),
    "a finding that is a tuple": (
        "findings='.actions'",
        "FINDINGS = {'page-lost': ('high', 'a', 'b')}\n",
        "`FINDINGS` must be a mapping of names to Kind, but 'page-lost' is ('high', 'a', 'b'), in {folder}/actions.py",
    ),
    "a list of findings": (
        "findings='.actions'",
        "FINDINGS = ['page-lost']\n",
        "`FINDINGS` must be a mapping of names to Kind, but it is ['page-lost'], in {folder}/actions.py",
    ),
    "no findings": (
        "findings='.actions'",
        "",
        "`FINDINGS` must be a mapping of names to Kind, but it is not defined, in {folder}/actions.py",
    ),
    "a needed system that is unknown": (
        "needs=('linux', 'lunix')",
        ACTION,
        "declares in {folder}/__init__.py that it needs the system 'lunix', which does not exist",
    ),
    "no such folder of drills": (
        "drills='drills'",
        ACTION,
        (
            "declares a SYSTEM in {folder}/__init__.py that cannot be used: `drills` names the folder 'drills', which does not "
            "exist in {folder}"
        ),
    ),
    "no such folder of trees": (
        "trees='trees'",
        ACTION,
        "`trees` names the folder 'trees', which does not exist in {folder}",
    ),
    "no such folder of examples": (
        "examples='examples'",
        ACTION,
        "`examples` names the folder 'examples', which does not exist",
    ),
    "drills above its package": (
        "drills='../../../..'",
        ACTION,
        "`drills` names the folder '../../../..', which is outside its package {folder}",
    ),
    "trees of the whole machine": (
        "trees='/etc'",
        ACTION,
        "`trees` names the folder '/etc', which is outside its package {folder}",
    ),
    "a module above its package": ("actions={'broken': '..actions'}", ACTION, "'..actions', which is outside its package"),
    "a package that is not its own": (
        "from drillbook.sdk.discovery import System\n\nSYSTEM = System('json')\n",
        "",
        "declares a SYSTEM of another package, 'json'",
    ),
    "no such module": (
        "actions={'broken': '.lost'}",
        "",
        "`actions` names the module '.lost', which does not exist in {folder}",
    ),
    "no such module of needs on a host": (
        "host_needs='.lost'",
        ACTION,
        "`host_needs` names the module '.lost', which does not exist in {folder}",
    ),
    "no such module of commands": ("by_hand='.lost'", ACTION, "`by_hand` names the module '.lost', which does not exist"),
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
}
"""Plugins that fail when a name of theirs is looked up."""
BOX = """\
from typing import Literal

from drillbook.sdk.service import Service


class Box(Service):
    \"\"\"A box.\"\"\"

    kind: Literal["boxes"] = "boxes"
"""
UNSEEN = {
    **LATER,
    "a service without its kind": (
        "services={'box': '.actions'}",
        BOX,
        "declares the kind of service 'box', but no class in {folder}/actions.py defines it",
    ),
    "a family without an action": (
        "actions={'broken': '.actions'}",
        "",
        "the module of the family 'broken' defines no actions, in {folder}",
    ),
    "needs on a host of a wrong type": (
        "actions={'broken': '.actions'}, host_needs='.actions'",
        ACTION + "\n\nHOST_NEEDS = {{'broken.look': 'tar'}}\n",
        "`HOST_NEEDS` must be a mapping of names to HostNeeds, but 'broken.look' is 'tar', in {folder}/actions.py",
    ),
    "no needs on a host": (
        "actions={'broken': '.actions'}, host_needs='.actions'",
        ACTION,
        "`HOST_NEEDS` must be a mapping of names to HostNeeds, but it is not defined, in {folder}/actions.py",
    ),
    "looks of a wrong type": (
        "actions={'broken': '.actions'}, looks='.actions'",
        ACTION + "\n\nLOOKS = {{'box': 5}}\n",
        "`LOOKS` must be a mapping of names to Look, but 'box' is 5, in {folder}/actions.py",
    ),
    "a varying argument of a wrong type": (
        "actions={'broken': '.actions'}, varying_arguments='.actions'",
        ACTION + "\n\nVARYING_ARGUMENTS = {{'id': 'x+'}}\n",
        "`VARYING_ARGUMENTS` must be a mapping of names to VaryingArgument, but 'id' is 'x+', in {folder}/actions.py",
    ),
    "a login that is not tried": ("logins={'redis': '.actions'}", "", "in `logins` defines no function `refused`"),
}
"""Plugins with a mistake that `drill.list` does not see, because it imports no module of them."""


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
        assert of(project, said) in done.stderr
    assert of(project, said) in goes_on(project)


def of(project, said):
    """A message about the broken plugin of a project."""
    return said.replace("{folder}", str(project.root / "plugins" / "broken"))


def goes_on(project):
    """Run tasks that need no plugin. Return the output of the last, which shows the plugins."""
    for argv in (["drill.recover"], ["lab.down"], ["trust", "--show"]):
        done = project.run(*argv)
        assert (done.returncode, done.stderr) == (0, ""), (argv, "what needs no plugin goes on")
    return done.stdout


@pytest.mark.parametrize("case", ["import error", "a finding that is a tuple", "trees of the whole machine"])
def test_stop_reports_and_audit_go_on(trusted, case):
    init, actions, _ = BROKEN[case]
    project = trusted(init, actions)
    project.good("drill.list", status=2)
    for argv, status in ((["drill.stop"], 0), (["report.list"], 0), (["audit"], 3)):
        done = project.run(*argv)
        assert (done.returncode, done.stderr) == (status, ""), (argv, "no run was made, so nothing is proven")


@pytest.mark.parametrize("case", UNSEEN)
def test_trust_tells_what_is_wrong_in_any_module(trusted, case):
    init, actions, said = UNSEEN[case]
    project = trusted(init, actions)
    project.good("drill.list")
    done = project.run("trust", "--yes")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: the plugin of plugins/broken "), done.stderr
    assert of(project, said) in done.stderr
    assert of(project, said) in goes_on(project)


def test_a_service_without_the_kind_that_it_declares(trusted):
    init, actions, said = UNSEEN["a service without its kind"]
    project = trusted(init, actions)
    inventory = "environment: lab\nhosts: {controller: {local: true}}\nservices: {thing: {kind: box, host: controller}}\n"
    (project.root / "inventory" / "lab.yml").write_text(inventory)
    project.write("verify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n", "plain")
    plain = project.root / "drills" / "plain.yml"
    plain.write_text(plain.read_text().replace("service: app", "service: thing"))
    for argv in (["schema", "inventory"], ["drill.plan", "plain"], ["drill.check", "plain"], ["diagnose", "thing"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.startswith("error: the plugin of plugins/broken "), (argv, done.stderr)
        assert of(project, said) in done.stderr
    folder = project.root / "plugins" / "broken"
    code = "from drillbook.sdk.contract import problems; from broken import SYSTEM; print(*problems(SYSTEM))"
    argv = [sys.executable, "-P", "-c", f"import sys; sys.path.append({str(folder.parent)!r}); {code}"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert f"the plugin of broken {of(project, said)}" in told


@pytest.mark.parametrize(
    ("file", "named", "place"),
    [
        ("plugins/single.py", "plugins/single.py", "plugins/single/__init__.py"),
        ("plugins/bare/actions.py", "plugins/bare", "plugins/bare/__init__.py"),
    ],
)
def test_a_module_outside_a_package_is_told(trusted, file, named, place):
    project = trusted(OK, "")
    (project.root / file).parent.mkdir(exist_ok=True)
    (project.root / file).write_text(OK)
    said = f"the plugin of {named} cannot be loaded: a project's plugin is a package, and {place} does not exist"
    for argv in (["drill.list"], ["actions"], ["trust", "--yes"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.startswith(f"error: {said}"), done.stderr
    assert said in goes_on(project)


def test_files_beside_the_plugins_are_no_plugins(trusted):
    project = trusted(OK, "")
    for name in ("__init__.py", "conftest.py", "README.md", "requirements.txt"):
        (project.root / "plugins" / name).write_text("")
    project.environment["DRILLBOOK_TRUST"] = plugins.read(project.root).digest
    project.good("drill.list")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: tar\nservice: folder\nat: /b\n", "it needs a head and three parts, separated by lines of three dashes"),
        ("source: tar\nservice: folder\nat: /b\nsorce: x\n---\n---\n---\n", "unknown key 'sorce'"),
        ("source: tar\nservice: folder\n---\n---\n---\n", "`at` must be a text"),
        ("source: tar\nservice: folder\nat: /b\n---\n---\nat: $where\n---\n", "not $where"),
    ],
)
def test_a_template_of_init_that_cannot_be_used(trusted, text, said):
    project = trusted("actions={'broken': '.actions'}, rehearsal='rehearsal'", ACTION)
    folder = project.root / "plugins" / "broken" / "rehearsal"
    folder.mkdir()
    (folder / "boxes.yml").write_text(text)
    project.environment["DRILLBOOK_TRUST"] = plugins.read(project.root).digest
    project.good("drill.list")
    for argv in (["init", ".", "--rehearse", "boxes"], ["trust", "--yes"]):
        done = project.run(*argv)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.startswith(f"error: the plugin of plugins/broken: the template {folder}/boxes.yml of ")
        assert said in done.stderr


def test_a_linked_drill_or_folder_is_not_read(trusted, tmp_path):
    project = trusted(OK.replace("{}", "drills='drills'"), "")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "stray.yml").write_text("drill: stray\ntitle: Stray\nservice: app\n")
    drills = project.root / "plugins" / "broken" / "drills"
    drills.mkdir()
    (drills / "stray.yml").symlink_to(outside / "stray.yml")
    (drills / "own.yml").write_text("drill: own\ntitle: Own\nservice: app\n")
    project.environment["DRILLBOOK_TRUST"] = plugins.read(project.root).digest
    listed = project.good("drill.list", "--all")
    assert "own" in listed
    assert "stray" not in listed
    shutil.rmtree(drills)
    drills.symlink_to(outside)
    project.environment["DRILLBOOK_TRUST"] = plugins.read(project.root).digest
    assert "`drills` names the folder 'drills', which is outside its package" in project.good("drill.list", status=2)


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
