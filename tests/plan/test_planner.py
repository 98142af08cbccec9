"""Plans: drill and inventory are resolved and checked, without any change and without contact to hosts."""

import pytest

from drillbook.errors import InventoryError, PlanError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from tests.plan.test_spec import GOOD

HOSTS = """\
environment: lab
hosts:
  app-1: {address: 127.0.0.1, port: 2201}
  db-1: {address: 127.0.0.1, port: 2202, user: drill}
  db-2:
groups: {db: [db-1, db-2]}
services:
  api: {kind: http, host: app-1, url: "http://127.0.0.1:8000", unit: api}
  backups: {kind: s3, host: db-1, endpoint: "http://127.0.0.1:9000", bucket: b, access_key: !env KEY, secret_key: !env SECRET}
contacts:
  dba: {role: DBA, email: dba@example.com}
"""


def made(tmp_path, drill=GOOD, hosts=HOSTS):
    (tmp_path / "sample.yml").write_text(drill)
    (tmp_path / "hosts.yml").write_text(hosts)
    return planner.make(spec.load(tmp_path / "sample.yml"), inventory.load(tmp_path / "hosts.yml"))


def test_a_plan_names_hosts_and_effects(tmp_path):
    made_plan = made(tmp_path)
    assert [(step.id, step.action, step.hosts, step.effect.value) for step in made_plan.steps] == [
        ("ready.1", "service.status", ("app-1",), "read"),
        ("inject.1", "service.kill", ("app-1",), "fault"),
        ("restore.1", "service.start", ("app-1",), "write"),
        ("restore.2", "command.run", ("db-1", "db-2"), "read"),
        ("verify.1", "http.responds", ("controller",), "read"),
    ]
    assert made_plan.hosts() == ("app-1", "db-1", "db-2", "controller")
    assert made_plan.steps[-1].line == "sample.yml:18"


def test_the_digest_follows_the_content(tmp_path):
    first = made(tmp_path)
    assert made(tmp_path).digest == first.digest
    assert made(tmp_path, drill=GOOD.replace("100ms", "200ms")).digest != first.digest
    assert made(tmp_path, hosts=HOSTS.replace("2202", "2203")).digest != first.digest


def test_a_plan_survives_the_journal(tmp_path):
    first = made(tmp_path)
    again = planner.checked(first.model_dump(mode="json"))
    assert again == first
    assert again.digest == first.digest
    assert "KEY" in str(first.model_dump(mode="json")), "a secret is kept as its source"


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("drill: sample", "drill: sample\nowner: dbaa", 2, "no contact 'dbaa'", "did you mean 'dba'?"),
        ("service: api\nprobes", "service: apo\nprobes", 3, "no service 'apo'", "did you mean 'api'?"),
        (
            "service.kill: {service: api}",
            "service.kill: {service: \"{{ 'api' }}\"}\n    hosts: [db-1]",
            9,
            "must be known before the run",
            "write the name of the service",
        ),
        ("service.kill: {service: api}", "service.kill: {service: abi}", 9, "no service 'abi'", "did you mean 'api'?"),
        ("hosts: [db]", "hosts: [dbs]", 15, "no host or group 'dbs'", "did you mean 'db'?"),
        ("        hosts: [db]\n", "", 14, "command.run needs `hosts`", ""),
        ('services.api.url }}"', 'services.apy.url }}"', 5, "services has no 'apy'", "did you mean 'api'?"),
        ('services.api.url }}"', 'services.api.ulr }}"', 5, "services.api has no 'ulr'", "did you mean 'url'?"),
        ("{{ run.id }}", "{{ said.stdout }}", 14, "'said' has no value yet, because it is saved later", ""),
        ("{{ run.id }}", "{{ run.di }}", 14, "run has no 'di'", "did you mean 'id'?"),
        ("{{ run.id }}", "{{ rnu.id }}", 14, "no step saves the name 'rnu'", "did you mean 'run'?"),
        ("{{ run.id }}", "{{ run.id", 14, "not an expression", ""),
        ("{{ run.id }}", "{{ 1 + }}", 14, "not an expression", ""),
        ("result.status == 200", "reslut.status == 200", 19, "no step saves the name 'reslut'", "did you mean 'result'?"),
        ("    expect: result", "    when: result", 19, "no step saves the name 'result'", ""),
        ("    name: Kill it", "    save: services", 10, "the name 'services' is already used", ""),
        ("    name: Kill it", "    save: said", 16, "the name 'said' is already used by inject.1", ""),
    ],
)
def test_what_does_not_fit_is_told_at_its_line(tmp_path, old, new, line, message, hint):
    assert old in GOOD
    with pytest.raises(PlanError) as caught:
        made(tmp_path, drill=GOOD.replace(old, new, 1))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where.line == line


def test_steps_of_one_parallel_group_do_not_see_each_other(tmp_path):
    text = GOOD.replace(
        "      - service.start: {service: api}\n",
        """\
      - command.run: {argv: [echo, "{{ said.stdout }}"], effect: read}
        hosts: [db-1]
""",
    )
    with pytest.raises(PlanError, match="has no value yet"):
        made(tmp_path, drill=text)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("environment: lab\n", "", 1, "the key 'environment' is missing"),
        ("port: 2201", "port: 99999", 3, "port"),
        ("port: 2201", "prot: 2201", 3, "unknown key 'prot'"),
        ("port: 2201", "port: !lab ssh.app-1", 3, "`!lab` can be used only in the inventory of a lab"),
        ("groups: {db: [db-1, db-2]}", "groups: {db: [db-1, db-3]}", 6, "'db-3', which is not in `hosts`"),
        ("kind: http, host: app-1", "kind: http, host: app-2", 8, "names the host 'app-2', which is not in `hosts`"),
        ("kind: http", "kind: htpp", 8, "kind"),
        ("!env KEY", "!env 9KEY", 9, "expected the name of an environment variable"),
        ("!env KEY", "!evn KEY", 9, "unknown tag !evn"),
        ("!env KEY", "plaintext", 9, "access_key"),
        ("  db-1: {", "  app-1: {", 4, "the key 'app-1' occurs twice"),
        ("user: drill", "gateway: jump", 4, "gateway 'jump', which is not in `hosts`"),
    ],
)
def test_a_wrong_inventory_is_told_where_and_what(tmp_path, old, new, line, message):
    assert old in HOSTS
    with pytest.raises(InventoryError) as caught:
        made(tmp_path, hosts=HOSTS.replace(old, new, 1))
    assert message in caught.value.message
    assert caught.value.where.line == line


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ services.__class__ }}",
        "{{ run.id.__init__.__globals__ }}",
        "{{ cycler }}",
        "{% for x in range(99999999) %}x{% endfor %}",
        "{{ services.api.url.format_map }}{{ lipsum() }}",
    ],
)
def test_expressions_stay_in_their_sandbox(tmp_path, expression):
    from drillbook.language import template

    with pytest.raises((ValueError, PlanError)):
        found = made(tmp_path, drill=GOOD.replace("{{ run.id }}", expression, 1))
        template.evaluate(found.steps[3].params, found.names({"id": "x", "started": "", "operator": ""}))


LOST = """\
drill: sample
title: Objects are lost for good
service: originals
backup:
  - s3.copy: {service: originals, to: "s3://{{ services.BUCKET.bucket }}/{{ run.id }}/copy"}
    save: copy
  - s3.backup_intact: {service: originals, from: "{{ copy.location }}"}
inject:
  - s3.lose_objects: {service: originals, from: "{{ copy.location }}", prefix: a/, count: 1}
restore:
  - s3.restore: {service: originals, from: "{{ copy.location }}"}
verify:
  - s3.matches: {service: originals, manifest: "{{ copy.manifest }}"}
"""
TWO_BUCKETS = HOSTS.replace(
    "contacts:",
    """\
  originals: {kind: s3, host: db-1, endpoint: "http://127.0.0.1:9000", bucket: o, access_key: !env KEY, secret_key: !env SECRET}
contacts:""",
)


def test_what_only_a_restore_mends_has_a_backup_that_lies_elsewhere_and_is_read_back(tmp_path):
    good = LOST.replace("BUCKET", "backups")
    assert made(tmp_path, good, TWO_BUCKETS).phase("inject")[0].restore_only
    for text, message in (
        (
            LOST.replace("BUCKET", "originals"),
            r"stores its backup in s3://o/run/copy, but s3.lose_objects damages that same",
        ),
        (
            good.replace('  - s3.backup_intact: {service: originals, from: "{{ copy.location }}"}\n', ""),
            "no step verifies a backup that this run makes",
        ),
        (
            good.replace('from: "{{ copy.location }}"}\nverify', 'from: "{{ copy.location }}"}\n    when: 1 > 2\nverify'),
            "no step of `restore` is certain to write",
        ),
    ):
        with pytest.raises(PlanError, match=message) as told:
            made(tmp_path, text, TWO_BUCKETS)
        phase = "restore:" if "`restore`" in message else "backup:"
        assert told.value.where.line == text.splitlines().index(phase) + 1


def test_a_step_that_only_reads_may_name_its_service_by_an_expression(tmp_path):
    text = GOOD.replace("service.status: {service: api}", "service.status: {service: \"{{ 'api' }}\"}\n    hosts: [app-1]")
    assert text != GOOD
    assert made(tmp_path, text).phase("ready")[0].hosts == ("app-1",)


CLUSTER = """\
drill: sample
title: A cluster is lost
service: database
backup:
  - postgres.dump: {service: database, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/dump"}
    save: dump
  - files.archive: {service: database, path: /etc/hostname, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/files"}
    save: archive
  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}
  - files.backup_intact: {service: database, from: "{{ archive.location }}"}
inject:
  - postgres.lose_data: {service: database}
restore:
  - postgres.restore: {service: database, from: "{{ dump.location }}"}
verify:
  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}
"""
WITH_DATABASE = HOSTS.replace(
    "contacts:",
    """\
  database: {kind: postgres, host: db-1, port: 5432, database: dpa, user: dpa, password: !env P, admin: {user: postgres},
    data_directory: /var/lib/pg/main}
contacts:""",
)


def test_what_is_destroyed_is_what_the_backup_is_of(tmp_path):
    made(tmp_path, CLUSTER, WITH_DATABASE)
    proof = '  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}\n'
    restore = '  - postgres.restore: {service: database, from: "{{ dump.location }}"}\n'
    matches = '  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}\n'
    assert CLUSTER.count(proof) == CLUSTER.count(restore) == CLUSTER.count(matches) == 1
    for text, message, hint in (
        (
            CLUSTER.replace(proof, ""),
            "no step verifies a backup that this run makes",
            "`postgres.backup_intact` or `postgres.base_intact`",
        ),
        (
            CLUSTER.replace(restore, matches),
            "no step of `restore` is certain to write: each may be skipped, may fail, or only reads",
            "step that writes",
        ),
    ):
        with pytest.raises(PlanError, match=message) as told:
            made(tmp_path, text, WITH_DATABASE)
        assert hint in told.value.hint


def test_a_fault_that_names_its_backup_loses_only_what_that_very_backup_is_proven_to_hold(tmp_path):
    two = CLUSTER.replace(
        "  - postgres.lose_data: {service: database}\n",
        '  - files.lose: {service: database, path: /etc/hostname, from: "{{ archive.location }}"}\n',
    ).replace("restore:\n", 'restore:\n  - files.extract: {service: database, from: "{{ archive.location }}"}\n')
    made(tmp_path, two, WITH_DATABASE)
    other = two.replace(
        "    save: archive\n",
        """\
    save: archive
  - files.archive: {service: database, path: /etc/hosts, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/other"}
    save: other
""",
    ).replace(
        'files.backup_intact: {service: database, from: "{{ archive',
        'files.backup_intact: {service: database, from: "{{ other',
    )
    with pytest.raises(PlanError, match="no step verifies a backup that this run makes"):
        made(tmp_path, other, WITH_DATABASE)


@pytest.mark.parametrize("phase", ["ready", "diagnose"])
def test_phases_that_only_look_take_what_reads_and_nothing_else(tmp_path, phase):
    head = GOOD.partition("probes:")[0]
    text = head + f"{phase}:\n  - service.status: {{service: api}}\nverify:\n  - service.status: {{service: api}}\n"
    assert [step.effect.value for step in made(tmp_path, drill=text).phase(phase)] == ["read"]
    with pytest.raises(PlanError, match="makes changes"):
        made(tmp_path, drill=text.replace("service.status", "service.start", 1))
