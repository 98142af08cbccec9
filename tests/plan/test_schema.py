"""JSON Schemas: shipped files are valid, and typical mistakes are not, as an editor would show it."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from drillbook.plan import drill_files, schema
from drillbook.sdk.action import known_names
from tests.diagnosis.test_trees import TREE

ROOT = Path(__file__).parents[2]
DRILLS = sorted(drill_files.names_in(ROOT / "drills").values())
TREES = sorted((ROOT / "drills" / "diagnosis").glob("*.yml"))
INVENTORIES = sorted((ROOT / "inventory").rglob("*.yml"))
MISTAKES = [
    ("service.status: {", "service.stop: {"),
    ("service.status: {", "command.run: {argv: [ls], effect: read, "),
    ("service.status: {", "service.statu: {"),
    ("kind: process", "kind: postgrez"),
    ("  unit: {s", "  service: {s"),
    ("class: degraded", "class: slow"),
    ("weight: 3", "weight: 11"),
    ("service.start:", "service.begin:"),
    ("name: its unit", "nam: its unit"),
    ("name: its unit", "timeout: 5"),
    ("name: its unit", "needs: [postgrez]"),
    ("  api-down:", "  API down:"),
    ("    remedy: {text: start it,", "    remedie: {text: start it,"),
]


class AsEditors(yaml.SafeLoader):
    """YAML reader like that of an editor: tags are ignored, and only their values count."""


def _plain(loader, suffix, node):
    del suffix
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else loader.construct_scalar(node)


AsEditors.add_multi_constructor("!", _plain)


@pytest.fixture(scope="module")
def drills():
    return validator(schema.drill())


@pytest.fixture(scope="module")
def inventories():
    return validator(schema.inventory())


@pytest.fixture(scope="module")
def trees():
    return validator(schema.tree())


def validator(made):
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def problems(validator, text):
    return [error.message for error in validator.iter_errors(yaml.load(text, Loader=AsEditors))]


@pytest.mark.parametrize("path", DRILLS, ids=lambda path: path.stem)
def test_shipped_drills_fit(drills, path):
    assert problems(drills, path.read_text()) == []


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: path.stem)
def test_shipped_inventories_fit(inventories, path):
    assert problems(inventories, path.read_text()) == []


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.stem)
def test_shipped_trees_fit(trees, path):
    assert problems(trees, path.read_text()) == []


@pytest.mark.parametrize(("old", "new"), MISTAKES)
def test_mistakes_in_trees(trees, old, new):
    """Mistakes in a tree that the program refuses and an editor can show."""
    assert old in TREE
    assert problems(trees, TREE) == []
    assert problems(trees, TREE.replace(old, new, 1)) != []


HEAD = "drill: one\ntitle: One\nservice: api\n"
GOOD = [
    "verify:\n  - http.responds: {url: 'http://x', status: 200}\n",
    "verify:\n  - http.responds: {url: 'http://x', status: '{{ known.status }}'}\n    every: 1s\n    timeout: 5s\n",
    "verify:\n  - parallel:\n      - service.start: {service: api}\n      - command.run: {argv: ['true'], effect: read}\n        hosts: all\n",
    "verify:\n  - command.run: {argv: ['sh', '-c', 'x', '{{ run.id }}'], exit: ['{{ a.b }}'], effect: read}\n    hosts: [a, b]\n",
    "probes:\n  - http.available: {url: '{{ services.api.url }}', every: 100ms}\nready:\n  - service.status: {service: api}\n",
    "backup:\ncleanup:\n  - service.start: {service: api}\n    when: environment == 'lab'\n    expect: [result.pid > 0]\n",
]
BAD = [
    "verify:\n  - http.respond: {url: 'http://x'}\n",  # an unknown action
    "verify:\n  - http.responds: {url: 'http://x', statsu: 200}\n",  # an unknown parameter
    "verify:\n  - http.responds: {status: 200}\n",  # a parameter is missing
    "verify:\n  - http.responds: {url: 'http://x', status: two hundred}\n",
    "verify:\n  - http.responds: {url: 'http://x'}\n    timeout: 5\n",  # a duration without its unit
    "verify:\n  - http.responds: {url: 'http://x'}\n    retry: 5\n",  # an unknown keyword
    "verify:\n  - http.responds: {url: 'http://x'}\n    service.start: {service: api}\n",  # two actions in one step
    "verify:\n  - timeout: 5s\n",  # no action
    "verify:\n  - command.run: {argv: ['true'], effect: read}\n",  # no hosts
    "verify:\n  - parallel: []\n",
    "verfy:\n  - service.start: {service: api}\n",  # an unknown phase
    "objectives: {rto: fast}\nverify:\n  - service.start: {service: api}\n",
    "objectives: {rot: 5s}\nverify:\n  - service.start: {service: api}\n",
    "probes:\n  - http.availible: {url: 'http://x'}\nverify:\n  - service.start: {service: api}\n",
    "probes:\n  - http.available: {url: 'http://x', every: 5}\nverify:\n  - service.start: {service: api}\n",
    "guard: {environment: lab}\nverify:\n  - service.start: {service: api}\n",
    "",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_drills(drills, text):
    assert problems(drills, HEAD + text) == []


@pytest.mark.parametrize("text", BAD)
def test_mistakes_in_drills(drills, text):
    assert problems(drills, HEAD + text) != []


@pytest.mark.parametrize(
    "text",
    [
        "suite: all\ntitle: All\ndrills: []\n",
        "suite: all\ntitle: All\n",
        "suite: all\ntitle: All\ndrills: [one]\nverify: []\n",
        "title: Nothing\n",
    ],
)
def test_mistakes_in_suites(drills, text):
    assert problems(drills, text) != []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("environment: x\nhosts: {a: {address: b, port: 22}, c: }\n", True),
        ("environment: x\nhosts: {a: {port: !lab ssh.a}}\n", True),
        ("environment: x\nservices: {d: {kind: http, host: controller, url: 'http://x'}}\n", True),
        ("environment: x\nhosts: {a: {port: twenty}}\n", False),
        ("environment: x\nhosts: {a: {adress: b}}\n", False),
        ("environment: x\nservices: {d: {kind: htp, host: controller, url: 'http://x'}}\n", False),
        ("environment: x\nservices: {d: {kind: http, host: controller}}\n", False),
        ("environment: x\ncontacts: {d: {email: a@b}}\n", False),
        ("hosts: {}\n", False),
        ("environment: x\nhost: {}\n", False),
    ],
)
def test_inventories(inventories, text, good):
    assert (problems(inventories, text) == []) is good


def test_every_action_is_there_with_its_description():
    step = schema.drill()["$defs"]["step"]["properties"]
    for name in known_names():
        assert step[name]["description"], name
