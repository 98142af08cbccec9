"""Random files: each gives a plan, or an error with a place; never a traceback, and no host is contacted."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drillbook.errors import SourceError
from drillbook.inventory import inventory
from drillbook.inventory.ansible.hosts import read
from drillbook.plan import planner, spec
from drillbook.plan.spec import Suite
from drillbook.project.project import Project
from tests.corpus.test_corpus import CONTACTED, CORPUS, SITE_TEXT

ROOT = Path(__file__).parents[2]
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
GOOD_DRILLS = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "drills").glob("*.yml"))]
GOOD_INVENTORY = yaml.safe_load(SITE_TEXT.replace("!env ", ""))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def site():
    return Project(CORPUS).inventory(str(CORPUS / "site.yml"))


def judged(action):
    """Run the function; the only allowed error has a place and a printable message."""
    CONTACTED.clear()
    error = None
    try:
        action()
    except SourceError as caught:
        error = caught
    if error is not None:
        text = str(error)
        text.encode("utf-8")
        assert error.where is not None, text
        assert not {c for c in text if not c.isprintable()} - {"\n"}, repr(text)
        assert len(text) < 20_000
    assert not CONTACTED


def as_drill(folder, site, data):
    path = folder / "fuzzed.yml"
    path.write_bytes(data)

    def act():
        found = spec.load(path)
        if not isinstance(found, Suite):
            planner.make(found, site).model_dump_json()

    judged(act)


def as_inventory(folder, data):
    path = folder / "hosts.yml"
    path.write_bytes(data)
    judged(lambda: inventory.load(path).model_dump_json())


def as_ansible(folder, name, data):
    path = folder / name
    path.write_bytes(data)

    def act():
        found = read([path])
        found.hosts({})

    judged(act)


WORDS = st.sampled_from(
    [
        "a",
        "drill",
        "fuzzed",
        "title",
        "service",
        "api",
        "database",
        "inject",
        "restore",
        "service.kill",
        "command.run",
        "argv",
        "hosts",
        "all",
        "db[0]",
        "db:!db-2",
        "~(",
        "{{ run.id }}",
        "{{ services.api.url }}",
        "{{",
        "{% for x in y %}",
        "1e999",
        "9" * 400,
        "-0",
        "0x1F",
        "true",
        "null",
        "\ufeff",
        "\x00",
        "\x1b[31m",
        "\u2028",
        "\u202e",
        "<<",
        "*a",
        "&a",
        "!env",
        "%",
        "@",
        "x" * 3000,
        "{{ " + "(" * 300 + " }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ 9 ** 9 ** 9 }}",
    ]
)
TEXTS = st.one_of(WORDS, st.text(max_size=20))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(10**300, 10**301), st.floats(), TEXTS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)), max_leaves=15
)
YAML_TEXT = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from(
            [
                "\n",
                "\n  ",
                "\n    ",
                ": ",
                "- ",
                "[",
                "]",
                "{",
                "}",
                ",",
                "'",
                '"',
                "|\n",
                ">\n",
                "# ",
                "? ",
                "!!binary ",
                "!!set ",
                "!!int ",
                "!!timestamp ",
                "!lab ",
                "!file ",
                "!command ",
                "\t",
                "\r\n",
                "---\n",
                "...\n",
                "&x ",
                "*x",
                "<<: ",
            ]
        ),
    ),
    max_size=40,
).map("".join)


def encoded(text):
    return text.encode("utf-8", "surrogatepass")


@SETTINGS
@given(YAML_TEXT)
@example("drill: !!binary aGVsbG8=\n")
@example("drill: \ud800\n")
@example("\ufeffdrill: fuzzed\r\ntitle: x\r\nservice: api\r\n")
@example("drill: fuzzed\x00\n")
@example("[" * 800)
@example("{a: " * 800)
@example("- " * 3000)
@example("a: " + "x" * 300_000)
@example("? " * 2000)
@example("a: 1" + "0" * 5000 + "\n")
@example('drill: "\\ud800"\n')
@example('environment: "\\ud800"\nhosts: {"\\udfff": {address: "\\ud800"}}\n')
@example('ansible: "\\0"\n')
@example('include: "\\0"\n')
@example('ansible: "' + "a" * 5000 + '"\n')
@example('environment: x\nservices: {a: {kind: process, host: controller, unit: "\\ud800"}}\n')
def test_any_text(folder, site, text):
    as_drill(folder, site, encoded(text))
    as_inventory(folder, encoded(text))
    as_ansible(folder, "ansible.yml", encoded(text))
    as_ansible(folder, "ansible", encoded(text))


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes(folder, site, data):
    as_drill(folder, site, data)
    as_inventory(folder, data)
    as_ansible(folder, "ansible", data)


def dumped(value):
    """Write any value as YAML; as JSON where the YAML writer does not support the value."""
    try:
        return encoded(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
    except (yaml.YAMLError, ValueError, UnicodeError):
        return encoded(json.dumps(value))


@SETTINGS
@given(VALUES)
def test_any_value(folder, site, value):
    as_drill(folder, site, dumped(value))
    as_inventory(folder, dumped(value))
    as_ansible(folder, "ansible.yml", dumped(value))


@SETTINGS
@given(st.dictionaries(st.sampled_from([*spec.PHASES, "probes", "objectives", "guard", "owner"]), VALUES, max_size=4))
def test_any_parts_of_a_drill(folder, site, parts):
    as_drill(folder, site, dumped({"drill": "fuzzed", "title": "x", "service": "api", **parts}))


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from(["hosts", "groups", "services", "contacts", "include", "ansible", "lab"]), VALUES, max_size=4
    )
)
def test_any_parts_of_an_inventory(folder, parts):
    as_inventory(folder, dumped({"environment": "lab", **parts}))


def places(value, place=()):
    """Path to every node below ``value``."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*place, key)
        yield from places(inner, (*place, key))


@st.composite
def mutated(draw, good):
    """A valid document with a few nodes deleted, duplicated, or changed in type, name or place."""
    document = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 3))):
        way = list(places(document))
        if not way:
            break
        *path, last = draw(st.sampled_from(way))
        parent = document
        for part in path:
            parent = parent[part]
        how = draw(st.sampled_from(["delete", "double", "retype", "rename", "swap"]))
        if how == "delete":
            del parent[last]
        elif how == "retype":
            parent[last] = draw(VALUES)
        elif how == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(TEXTS)] = parent.pop(last)
        elif how == "swap":
            other = draw(st.sampled_from(way))
            source = document
            for part in other:
                source = (
                    source[part]
                    if not isinstance(source, str)
                    and (part in source if isinstance(source, dict) else isinstance(source, list) and part < len(source))
                    else None
                )
                if source is None:
                    break
            parent[last] = copy.deepcopy(source)
    return document


@settings(SETTINGS, max_examples=100)
@given(mutated(GOOD_DRILLS))
def test_mutations_of_good_drills(folder, site, document):
    as_drill(folder, site, dumped(document))


@settings(SETTINGS, max_examples=100)
@given(mutated([GOOD_INVENTORY]))
def test_mutations_of_a_good_inventory(folder, document):
    as_inventory(folder, dumped(document))


def test_the_fuzzed_drills_are_good_to_begin_with(tmp_path, site):
    wide = Project(ROOT)
    for path in sorted((ROOT / "drills").glob("*.yml")):
        assert wide.drill(path.stem)
    text = (CORPUS / "site.yml").read_text()
    (tmp_path / "hosts.yml").write_text(text)
    assert inventory.load(tmp_path / "hosts.yml") == site
