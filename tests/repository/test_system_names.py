"""Names of files in the packages of systems: one name has one meaning, in all systems, at the top level and in ``actions``."""

import re
from collections import defaultdict

import pytest

from drillbook.sdk import discovery
from drillbook.sdk.action import Action, Fault, Read
from tests.repository.test_layers import PACKAGE, SYSTEMS, imported

RECORD = (PACKAGE.parents[1] / "docs" / "decisions" / "0009-systems-are-found-not-named.md").read_text()
TWO_TERMS = {"archive", "exchange"}
"""Names with two meanings, each the term of its field; the record says why."""
MAY_WRITE = {
    "drillbook.systems.postgres.actions.sql_statement": "with `effect: write` it changes what its statement changes"
}
"""Modules whose only class reads by default, each with the reason why it is not `reading`."""
BUILT_IN = {name: system for name, system in SYSTEMS.items() if system.package.startswith(f"{discovery.BUILT_IN}.")}
FAMILIES = {f"{system.package}{module}" for system in BUILT_IN.values() for module in system.actions.values()} | {
    f"{system.package}{module}" for system in BUILT_IN.values() for module in system.probes.values()
}
"""Modules that a system declares as all actions or all probes of one family, such as ``service.*``."""


def test_files_that_all_systems_may_have_bear_the_same_names():
    """docs/decisions/0009 names them; a system declares each in its ``SYSTEM``."""
    for name, system in BUILT_IN.items():
        own = list(system.services)
        for part, wanted in (("actions", "actions"), ("probes", "probes"), ("logins", "login_check")):
            for family, module in getattr(system, part).items():
                first, *below = module.split(".")[1:]
                assert first in (wanted, f"{family}_{wanted}"), f"{name}: {part} in {module}"
                assert below in ([], [family]), f"{name}: the module of the family {family} is {module}"
        for kind in own:
            module = system.services[kind].removeprefix(".")
            assert module in ("service", "source") or module.endswith("_source"), f"{name}: the kind {kind} in {module}"
        for part in ("host_needs", "by_hand", "looks", "varying_arguments", "examples", "rehearsal"):
            assert getattr(system, part).removeprefix(".") in ("", part), f"{name}: {part}"


def dotted(path):
    return ".".join(("drillbook", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def names(system):
    """Yield the name and the path of each module and package of a system, with True for those inside ``actions``."""
    root = PACKAGE / "systems" / system
    for path in sorted(root.rglob("*.py")):
        whole = dotted(path).split(".")[3:]
        if whole and whole != ["actions"] and dotted(path) not in FAMILIES:
            yield whole[-1], path, whole[0] == "actions"


def uses():
    """Return, for each name at the top level and for each in ``actions``, the files of each system with this name."""
    top, actions = defaultdict(lambda: defaultdict(list)), defaultdict(lambda: defaultdict(list))
    for system in BUILT_IN:
        for name, path, inside in names(system):
            (actions if inside else top)[name][system].append(path)
    return top, actions


def several(used):
    return {name for name, systems in used.items() if len(systems) > 1}


def test_a_name_that_several_systems_use_is_one_of_the_common_names():
    first, _, second = RECORD.partition("| file in `actions` |")
    table, common = (set(re.findall(r"^\| `(\w+)(?:\.py)?`", part, re.MULTILINE)) for part in (first, second))
    declared = {"actions", "probes", "examples", "rehearsal"}
    top, actions = uses()
    assert several(top) == (table - declared) | TWO_TERMS, "name it in the record, or rename the file"
    assert several(actions) == common
    for name in TWO_TERMS:
        assert f"`{name}.py`" in RECORD


def test_a_name_in_actions_means_the_same_as_at_the_top_level():
    """A module of ``actions`` has the name of a module of its system only if its actions use that module."""
    top, actions = uses()
    for name in top.keys() & actions.keys():
        for system, paths in actions[name].items():
            code = ["systems", system, name]
            for path in paths:
                used = any(whole[:3] == code for whole, _ in imported(path))
                assert used, f"{path}: {name} is the name of {[str(p) for used in top[name].values() for p in used]}"


@pytest.mark.parametrize(("kind", "wanted"), [(Read, {"reading", "comparison", "moments", "backup"}), (Fault, {"faults"})])
def test_actions_that_only_read_and_faults_are_where_the_record_says(kind, wanted):
    effects = defaultdict(list)
    for name in discovery.known_names(Action):
        cls = discovery.find(name, Action)
        if ".actions." in cls.__module__:
            effects[cls.__module__].append(issubclass(cls, kind))
    alone = {module for module, same in effects.items() if all(same)} - FAMILIES - MAY_WRITE.keys()
    assert [module for module in sorted(alone) if not wanted & set(module.split("."))] == []
