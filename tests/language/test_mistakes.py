"""All mistakes of a file are reported together, each with its place in the file."""

import re

import pytest

from drillbook.diagnosis import trees
from drillbook.errors import InventoryError, PlanError, SourceError, SpecError
from drillbook.inventory import inventory
from drillbook.language.mistakes import Mistakes
from drillbook.plan import planner, spec

DRILL = """\
drill: wrong
title: Four mistakes
service: api
probes:
  - http.availabel: {url: "http://127.0.0.1:1"}
inject:
  - service.kil: {service: api}
restore:
  - service.start: {service: api, sevice: api}
verify:
  - parallel:
      - http.responds: {url: "http://127.0.0.1:1", status: 200}
        evry: 1s
      - service.status: {service: api, state: running}
"""


def test_every_mistake_of_a_drill_is_reported_at_once(tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text(DRILL)
    with pytest.raises(SpecError) as caught:
        spec.load(path)
    said = str(caught.value)
    assert [int(line.split("wrong.yml:")[1].split(":")[0]) for line in said.splitlines() if "wrong.yml:" in line] == [
        5,
        7,
        9,
        13,
    ]
    assert said.count("did you mean") == 4
    path.write_text(DRILL.replace("title", "titel").replace("service: api\nprobes", "ownr: me\nservice: api\nprobes"))
    with pytest.raises(SpecError) as caught:
        spec.load(path)
    assert len(caught.value.others) == 5
    assert "unknown key 'titel'" in str(caught.value)


def test_every_mistake_of_an_inventory_is_reported_at_once(tmp_path):
    path = tmp_path / "staging.yml"
    path.write_text(
        "environment: staging\nhosts:\n  app-1: {adress: app1, port: x}\n"
        "services:\n  api: {kind: http, host: app-1, ulr: http://a}\ncontacts: {oncall: {mail: a}}\n"
    )
    with pytest.raises(InventoryError) as caught:
        inventory.load(path)
    said = str(caught.value)
    assert sorted(line.split("staging.yml:")[1].split(":")[0] for line in said.splitlines() if "staging.yml:" in line) == [
        "3",
        "3",
        "5",
        "6",
    ]
    assert all(word in said for word in ("'address'", "'url'", "'email'"))


def places(error, name):
    """Lines of the file ``name`` that the message of ``error`` points to, and how often."""
    return [int(one) for one in re.findall(rf"{name}:(\d+):", str(error))]


def test_two_mistakes_of_one_step_and_those_of_others_are_reported_at_once(tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text(
        "drill: wrong\ntitle: T\nservice: api\ninject:\n  - service.kill: {sevice: api, sginal: KILL}\n"
        "restore:\n  - service.start: {sevice: api, other: 1}\n    retries: many\n"
    )
    with pytest.raises(SpecError) as caught:
        spec.load(path)
    assert places(caught.value, "wrong.yml") == [5, 5, 8, 7, 7]


SITE = "environment: lab\nhosts: {app-1: {address: app1}}\nservices: {api: {kind: http, host: app-1, url: 'http://a', unit: api}}\n"
ELSEWHERE = """\
drill: wrong
title: Names that the inventory does not have
service: apy
owner: nobody
guard: {hosts: [app-9], abort_if: [{http.responds: {url: "{{ services.apy.url }}"}}]}
probes:
  - http.available: {url: "{{ services.aip.url }}"}
inject:
  - service.kill: {service: ipa}
    hosts: app-1
    when: nothing.known
    save: killed
restore:
  - service.start: {service: api}
    when: killed.is_not_missed
    save: killed
verify:
  - command.run: {argv: ["true"], effect: read}
    hosts: app-7
"""


def test_every_name_that_is_not_in_the_inventory_is_reported_at_once(tmp_path):
    for name, text in (("wrong", ELSEWHERE), ("site", SITE)):
        (tmp_path / f"{name}.yml").write_text(text)
    with pytest.raises(PlanError) as caught:
        planner.make(spec.load(tmp_path / "wrong.yml"), inventory.load(tmp_path / "site.yml"))
    assert places(caught.value, "wrong.yml") == [3, 4, 7, 5, 5, 11, 9, 16, 19]


def test_every_unknown_drill_of_a_suite_is_reported_at_once(tmp_path):
    path = tmp_path / "all.yml"
    path.write_text("suite: all\ntitle: All\ndrills:\n  - api-dwon\n  - api-down\n  - all\n")
    with pytest.raises(SpecError) as caught:
        spec.load(path, known=["api-down"])
    assert places(caught.value, "all.yml") == [4, 6]


def test_every_mistake_of_a_tree_is_reported_at_once(tmp_path):
    path = tmp_path / "down.yml"
    path.write_text(
        "tree: down\ntitel: Down\nkind: http\nchecks:\n  a: {service.kill: {service: api}}\n  b: {service.statos: {service: api}}\n"
    )
    with pytest.raises(SpecError) as caught:
        trees.load(path)
    assert places(caught.value, "down.yml") == [2, 5, 6]


def test_a_single_mistake_reads_as_before(tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text("drill: wrong\ntitle: T\nservice: api\ninject:\n  - service.kil: {service: api}\n")
    with pytest.raises(SpecError) as caught:
        spec.load(path)
    assert str(caught.value) == caught.value.alone()


def test_only_mistakes_in_files_are_collected():
    mistakes = Mistakes()
    mistakes.report()
    assert mistakes.of(int, "3") == 3
    with pytest.raises(ValueError, match="invalid literal"):
        mistakes.of(int, "x")

    def wrong() -> int:
        raise SourceError("no")

    assert mistakes.of(wrong) is None
    with pytest.raises(SourceError, match="no"):
        mistakes.report()
