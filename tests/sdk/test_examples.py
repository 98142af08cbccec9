"""Examples of actions: each action has one, and every drill with examples can be planned on the lab's inventory."""

import pytest
import yaml

from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk import contract, discovery, examples, host_needs
from drillbook.sdk.action import Action, find, known_names
from drillbook.sdk.host_needs import HostNeeds
from drillbook.sdk.probe import Probe, find_probe
from tests.examples import FILES, ROOT, inventory_of
from tests.executed import ALONE, LISTS, executed, source

DECLARED = {name: text for kind in (Action, Probe) for name in known_names(kind) if (text := examples.declared(name, kind))}
"""Examples that the actions and probes themselves declare."""
HEAD = "drill: example\ntitle: An example\nservice: api\n"
VERIFY = "\nverify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n"


@pytest.mark.parametrize("name", [*FILES, *DECLARED])
def test_an_example_can_be_planned(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DRILLBOOK_LAB", str(tmp_path / "lab"))
    for folder in ("drills", "inventory"):
        (tmp_path / folder).mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text(inventory_of(name))
    file = FILES.get(name, tmp_path / "drills" / "example.yml")
    if name in DECLARED:
        file.write_text(HEAD + DECLARED[name] + VERIFY * ("verify:" not in DECLARED[name]))
    drill = spec.load(file)
    assert isinstance(drill, spec.Drill)
    assert planner.make(drill, Project(tmp_path).inventory("lab")).steps


@pytest.mark.parametrize("name", known_names())
def test_an_action_has_an_example_that_can_be_read(name):
    found = examples.of(name, ROOT / "drills")
    assert found is not None, f"add a drill with {name} to the folder `examples` of its system"
    steps = [step for phase in yaml.safe_load(found.text).values() for step in phase]
    (shown,) = [step[name] for step in steps if name in step][:1]
    required = {info.alias or key for key, info in find(name).model_fields.items() if info.is_required()}
    assert required <= (shown or {}).keys()


@pytest.mark.parametrize("name", known_names(Probe))
def test_a_probe_has_an_example_that_a_test_runs(name):
    found = examples.of(name, ROOT / "drills", Probe)
    assert found is not None, f"add a drill with the probe {name} to the folder `examples` of its system"
    ((phase, (item,)),) = yaml.safe_load(found.text).items()
    assert phase == "probes"
    required = {info.alias or key for key, info in find_probe(name).model_fields.items() if info.is_required()}
    assert required <= item[name].keys()
    assert (found.drill or name) in executed(), f"no test runs {found.drill or name}"


def test_an_action_and_a_probe_of_one_name_have_their_own_examples():
    action, probe = (examples.of("tcp.open", ROOT / "drills", kind).text for kind in (Action, Probe))
    assert not action.startswith("probes:")
    assert probe.startswith("probes:\n  - tcp.open:")


@pytest.mark.parametrize("name", known_names())
def test_a_test_runs_the_example_of_an_action(name):
    drill = examples.of(name, ROOT / "drills").drill or name
    assert drill in executed(), f"no test runs {drill}: add one, and list it in tests/executed.py"


def test_the_tests_that_run_examples_exist_and_expect_them_to_pass():
    assert [test for test in (*LISTS, *ALONE.values()) if not source(test)] == []
    assert [name for name, test in ALONE.items() if f'"{name}"' not in source(test)] == []
    assert [name for name, test in ALONE.items() if "PASSED" not in source(test) and name not in known_names(Probe)] == []
    shown = {
        examples.of(name, ROOT / "drills", kind).drill or name for kind in (Action, Probe) for name in known_names(kind)
    }
    assert ALONE.keys() <= shown | FILES.keys()
    assert FILES.keys() - executed().keys() == set(), "these are shown for no action, and run by no test"


def test_an_example_shows_the_steps_whose_results_it_uses():
    text = examples.of("postgres.restore_table", ROOT / "drills").text
    assert [line for line in text.splitlines() if not line.startswith(" ")] == ["backup:", "restore:"]
    assert text.index("save: dump") < text.index("postgres.restore_table:")


SYSTEM = '''"""A system."""
from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"bell": ".actions"}EXAMPLES)
'''
ACTIONS = '''"""Actions."""
from typing import Annotated
from pydantic import Field
from drillbook.sdk.action import Read

class Ring(Read):
    """Ring the bell."""

    times: Annotated[int, Field(description="Number of times.")]

    def run(self, ctx):
        """No facts."""
        return {}
'''


@pytest.mark.parametrize(
    ("folder", "step", "wanted"),
    [
        ("", "", "bell.ring: no drill shows it"),
        ("examples", "bell.ring: {times: 3}", ""),
        ("examples", "bell.ring: {times: often}", "ring.yml:5:"),
        ("examples", "bell.toll: {}", "'bell.toll'"),
    ],
)
def test_the_contract_wants_an_example_of_each_action_of_a_plugin(folder, step, wanted, tmp_path, monkeypatch):
    package = tmp_path / f"bell{abs(hash((folder, step)))}"
    (package / "examples").mkdir(parents=True)
    (package / "__init__.py").write_text(SYSTEM.replace("EXAMPLES", f', examples="{folder}"' if folder else ""))
    (package / "actions.py").write_text(ACTIONS)
    drill = f"drill: ring\ntitle: Ring\nservice: bell\nverify:\n  - {step}\n"
    (package / "examples" / "ring.yml").write_text(drill)
    monkeypatch.syspath_prepend(tmp_path)
    found = contract.problems(__import__(package.name).SYSTEM)
    assert (wanted in " ".join(found)) if wanted else found == []


SERVICE = '''"""Its service."""
from typing import Literal
from pydantic import Field
from drillbook.sdk.service import Service

class Bell(Service):
    """A bell."""

    kind: Literal["bell"] = "bell"
    tower: str = Field(description="Its tower.")
'''
BESIDE = ACTIONS.replace(
    "    times:",
    '    NEEDS = HostNeeds(commands=("ring",))\n    EXAMPLE = """\n        verify:\n          - STEP\n    """\n\n    times:',
).replace("import Read", "import Read\nfrom drillbook.sdk.host_needs import HostNeeds")


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ("bell.ring: {times: 3}", ""),
        ("bell.ring: {times: often}", "EXAMPLE of bell.ring:2:"),
        ("command.run: {argv: [ring], effect: read}", "the attribute EXAMPLE of the action has no step with this action"),
        ("bell.ring: {", "this is not YAML"),
    ],
)
def test_a_system_of_three_files_declares_needs_and_examples_in_its_actions(step, wanted, tmp_path, monkeypatch):
    package = tmp_path / f"tower{abs(hash(step))}"
    package.mkdir()
    declared = SYSTEM.replace("EXAMPLES", ', services={"bell": ".service"}')
    for name, text in (("__init__", declared), ("service", SERVICE), ("actions", BESIDE.replace("STEP", step))):
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    system = __import__(package.name).SYSTEM
    found = contract.problems(system)
    assert (wanted in " ".join(found)) if wanted else found == []
    with discovery.registered(system):
        assert host_needs.of("bell.ring") == HostNeeds(commands=("ring",))
        assert examples.of("bell.ring") == examples.Example("", f"verify:\n  - {step}")
    assert host_needs.of("bell.ring") is None


def test_every_example_drill_belongs_to_a_system():
    shown = {path for system in discovery.systems() for path in examples.files(system)}
    folders = {system.folder("examples") for system in discovery.systems() if system.examples}
    assert shown == {path for folder in folders for path in folder.iterdir()}
    assert {name.partition(".")[0] for name in known_names(Action)} >= {
        family for s in discovery.systems() for family in s.actions
    }
