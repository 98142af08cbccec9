"""Drill files: parsed content, and messages about mistakes."""

import pytest

from drillbook.errors import SpecError
from drillbook.plan import spec

GOOD = """\
drill: sample
title: A sample
service: api
probes:
  - http.available: {url: "{{ services.api.url }}", every: 100ms}
ready:
  - service.status: {service: api}
inject:
  - service.kill: {service: api}
    name: Kill it
restore:
  - parallel:
      - service.start: {service: api}
      - command.run: {argv: [echo, "{{ run.id }}"], effect: read}
        hosts: [db]
        save: said
verify:
  - http.responds: {url: "{{ services.api.url }}/{{ said.stdout }}"}
    expect: result.status == 200
    every: 1s
    timeout: 10s
"""


def load(tmp_path, text, name="sample.yml"):
    path = tmp_path / name
    path.write_text(text)
    return spec.load(path)


def test_a_good_drill(tmp_path):
    drill = load(tmp_path, GOOD)
    assert drill.name == "sample"
    assert [step.action.name() for step in drill.phases["restore"]] == ["service.start", "command.run"]
    assert drill.phases["restore"][0].group == drill.phases["restore"][1].group == 0
    assert drill.phases["verify"][0].keywords.every == 1.0
    assert drill.probes[0].probe.name() == "http.available"


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("drill: sample", "drill: Sample", 1, "drill: expected lower-case letters, digits and hyphens, not 'Sample'", ""),
        ("drill: sample", "drill: other", 1, "its file is named 'sample.yml'", "rename the file to other.yml"),
        ("title: A sample\n", "", 1, "the key 'title' is missing", ""),
        ("title: A sample", "title: A sample\nowner: [x]", 3, "owner: expected text, not ['x']", ""),
        (
            "title: A sample",
            "title: A sample\nobjektives: {rto: 5m}",
            3,
            "unknown key 'objektives'",
            "did you mean 'objectives'?",
        ),
        ("title: A sample", "title: A sample\nobjectives: {rto: 300}", 3, "has no unit", ""),
        ("title: A sample", "title: A sample\nobjectives: {rto: 5min}", 3, "'5min' is not a duration", ""),
        ("title: A sample", "title: A sample\nobjectives: {rtt: 5m}", 3, "unknown key 'rtt'", "did you mean 'rto'?"),
        ("title: A sample", "title: A sample\nguard: {environments: lab}", 3, "environments", ""),
        ("ready:", "raedy:", 6, "unknown key 'raedy'", "did you mean 'ready'?"),
        (
            "service.kill: {service: api}",
            "service.kil: {service: api}",
            9,
            "no action 'service.kil'",
            "did you mean 'service.kill'?",
        ),
        (
            "service.kill: {service: api}",
            "servise.kill: {service: api}",
            9,
            "no action 'servise.kill'",
            "did you mean 'service.kill'?",
        ),
        (
            "service.kill: {service: api}",
            "service.kill: {sevice: api}",
            9,
            "unknown key 'sevice'",
            "did you mean 'service'?",
        ),
        (
            "service.kill: {service: api}",
            "service.kill: {service: api, force: true}",
            9,
            "unknown key 'force'",
            "known keys: service",
        ),
        ("service.kill: {service: api}", "service.kill: api", 9, "must be a mapping", ""),
        ("service.kill: {service: api}", "service.kill:", 9, "the key 'service' is missing", ""),
        ("    name: Kill it", "    nmae: Kill it", 10, "unknown keyword 'nmae'", "did you mean 'name'?"),
        (
            "    name: Kill it",
            "    service.stop: {service: api}",
            9,
            "must name exactly one action",
            "service.kill, service.stop",
        ),
        ("    name: Kill it", "    timeout: 5", 10, "has no unit", ""),
        ("    name: Kill it", "    retries: -1", 10, "retries: expected at least 0, not -1", ""),
        ("    name: Kill it", "    every: 1s", 10, "`every` needs a `timeout`", "add `timeout"),
        ("    name: Kill it", "    save: Not-A-Name", 10, "save", ""),
        ("    name: Kill it", "    allow_failure: true", 10, "allow_failure", ""),
        ("  - parallel:", "  - name: x\n    parallel:", 12, "`parallel` must be the only key", ""),
        ("http.available: {url", "http.availabel: {url", 5, "no probe 'http.availabel'", "did you mean 'http.available'?"),
        ("every: 100ms}", "evry: 100ms}", 5, "unknown key 'evry'", "did you mean 'every'?"),
        ("every: 100ms}", "every: 0.1}", 5, "has no unit", ""),
        ("restore:", "restore: none\nrestored:", 12, "unknown key 'restored'", ""),
        ("ready:\n  - service.status: {service: api}", "ready: 5", 6, "must be a list", "begin each entry"),
        ("ready:\n  - service.status: {service: api}", "ready:\n  - service.status", 7, "a step must be a mapping", ""),
        (
            "ready:\n  - service.status: {service: api}",
            "ready:\n  - service.status: {service: api, state: runing}",
            7,
            "state: expected 'running' or 'stopped', not 'runing'",
            "",
        ),
    ],
)
def test_a_wrong_drill_is_told_where_and_what(tmp_path, old, new, line, message, hint):
    assert old in GOOD
    with pytest.raises(SpecError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where.line == line


def test_a_suite(tmp_path):
    suite = load(tmp_path, "suite: all\ntitle: All\ndrills: [a, b]\n", "all.yml")
    assert suite.drills == ("a", "b")
    with pytest.raises(SpecError, match="unknown key 'drils'"):
        load(tmp_path, "suite: all\ntitle: All\ndrils: [a, b]\n", "all.yml")


def test_a_fault_command_without_undo_is_refused(tmp_path):
    text = GOOD.replace("service.kill: {service: api}", "command.run: {argv: [rm, x], effect: fault}")
    with pytest.raises(SpecError, match="needs `undo`"):
        load(tmp_path, text)


def test_mistakes_of_a_suite_are_reported_together(tmp_path):
    path = tmp_path / "s.yml"
    path.write_text("suite: s\ntitel: x\ndrills: [first, nearest]\nevery: 7\n")
    with pytest.raises(SpecError) as caught:
        spec.load(path, known={"first", "s"})
    told = [(str(error.where), error.message) for error in (caught.value, *caught.value.others)]
    assert told == [
        (f"{path}:2:1", "unknown key 'titel'"),
        (f"{path}:4:8", "every: 7 has no unit; write a number and a unit, such as 7s"),
        (f"{path}:3:17", "there is no drill 'nearest'"),
    ]


def test_a_key_that_occurs_twice_hides_no_other_mistake(tmp_path):
    path = tmp_path / "s.yml"
    path.write_text("suite: s\ntitle: x\ntitle: y\ndrills: [nearest]\n")
    with pytest.raises(SpecError) as caught:
        spec.load(path, known={"first", "s"})
    told = [error.message for error in (caught.value, *caught.value.others)]
    assert told == ["the key 'title' occurs twice, first in line 2", "there is no drill 'nearest'"]
