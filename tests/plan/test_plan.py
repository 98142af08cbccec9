"""The plan: its digest identifies what is done, its locks name what is changed, and its faults the hosts they affect."""

from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.plan.plan import digest_of, faulted
from drillbook.sdk.identity import LockName
from tests.plan.test_guard import WATCHED, made
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD


def test_the_digest_tells_what_is_protected_and_is_the_old_one_where_nothing_is_said(tmp_path):
    one = made(tmp_path)
    dumped = one.model_dump(mode="json")
    before = {**dumped, "inventory": {key: value for key, value in dumped["inventory"].items() if key != "protected"}}
    assert digest_of(before) == one.digest
    assert made(tmp_path, hosts=f"protected: no\n{HOSTS}").digest != one.digest


def test_a_fault_through_a_service_hits_the_services_host(tmp_path):
    drill = GOOD.replace(
        "  - service.kill: {service: api}\n",
        """\
  - command.run: {argv: [touch, /x], effect: fault, undo: [rm, -f, /x], proof: [test, -e, /x]}
    hosts: [controller]
""",
    )
    one = made(tmp_path, "{max_hosts: 1}", drill)
    assert faulted(one.steps, one.inventory) == {"controller"}
    step = one.steps[1].model_copy(update={"params": {"service": "api"}})
    assert faulted([step], one.inventory) == {"app-1"}
    step = step.model_copy(update={"hosts": ("db-1",)})
    assert faulted([step], one.inventory) == {"app-1", "db-1"}, "it may reach the service through its own protocol"


def test_the_digest_is_of_what_is_done_not_of_where_it_is_written(tmp_path):
    rules = WATCHED % "{service.status: {service: api}}"
    first = made(tmp_path, rules)
    moved = made(tmp_path, rules, GOOD.replace("inject:", "# a remark\n\ninject:"))
    assert moved.steps[-1].line != first.steps[-1].line
    assert moved.digest == first.digest
    others = [
        made(tmp_path, rules.replace("lease: 10s", "lease: 11s")),
        made(tmp_path, rules.replace("for: 5s", "for: 6s")),
        made(tmp_path, rules, hosts=HOSTS.replace("2201", "2209")),
        made(tmp_path, rules.replace("hosts: [db]", "hosts: []")),
        made(tmp_path, rules, GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s")),
    ]
    assert len({first.digest, *(one.digest for one in others)}) == 1 + len(others)


def test_two_copies_of_a_project_have_one_digest(tmp_path):
    hosts = HOSTS.replace("!env KEY", "!file secrets/key") + "approvers: approvers\n"
    digests, paths = set(), set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        one = made(tmp_path / name, hosts=hosts)
        digests.add(one.digest)
        paths.add(one.inventory.approvers)
    assert paths == {str(tmp_path / "one" / "approvers"), str(tmp_path / "other" / "approvers")}
    assert len(digests) == 1
    assert made(tmp_path, hosts=hosts.replace("secrets/key", "secrets/other")).digest not in digests


def test_parameters_named_line_belong_to_the_digest(tmp_path):
    one = made(tmp_path).model_dump(mode="json")
    one["steps"][0]["params"] = {"line": "1", "params": {}}
    other = {**one, "steps": [{**one["steps"][0], "params": {"line": "2", "params": {}}}, *one["steps"][1:]]}
    assert digest_of(one) != digest_of(other)


def test_services_that_are_hit_are_locked(tmp_path):
    one = made(tmp_path)
    assert one.locks() == (LockName("unit-api", "app-1", ("api",)),)
    assert one.locks()[0].title == "api (unit-api)"


def test_a_lock_bears_the_name_of_the_thing_whatever_it_is_called(tmp_path):
    hosts = HOSTS.replace("  api:", "  frontend:").replace("app-1", "web")
    drill = GOOD.replace("service: api", "service: frontend").replace("services.api", "services.frontend")
    (tmp_path / "sample.yml").write_text(drill)
    (tmp_path / "hosts.yml").write_text(hosts)
    other = planner.make(spec.load(tmp_path / "sample.yml"), inventory.load(tmp_path / "hosts.yml"))
    assert other.locks() == (LockName("unit-api", "web", ("frontend",)),)


def test_two_names_of_one_thing_take_one_lock(tmp_path):
    """Otherwise the run would be refused because of its own lock."""
    twice = HOSTS.replace("  backups:", "  frontend: {kind: process, host: app-1, unit: api}\n  backups:")
    drill = GOOD.replace("restore:\n", "restore:\n  - service.start: {service: frontend}\n")
    assert made(tmp_path, drill=drill, hosts=twice).locks() == (LockName("unit-api", "app-1", ("api", "frontend")),)


def test_a_fault_of_a_whole_host_locks_the_host(tmp_path):
    """Otherwise two drills whose services share a host could both break it."""
    drill = GOOD.replace(
        "    name: Kill it\n",
        """    name: Kill it
  - command.run: {argv: [touch, /x], effect: fault, undo: [rm, -f, /x], proof: [test, -e, /x]}
    hosts: [app-1, db-1]
""",
    )
    assert made(tmp_path, "{}", drill).locks() == (
        LockName("host", "app-1"),
        LockName("host", "db-1"),
        LockName("unit-api", "app-1", ("api",)),
    )
