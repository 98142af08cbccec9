"""All mistakes of a drill are reported together, each with its place in the file."""

import pytest

from drillbook.errors import InventoryError, SourceError, SpecError
from drillbook.inventory import inventory
from drillbook.language.mistakes import Mistakes
from drillbook.plan import spec

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
