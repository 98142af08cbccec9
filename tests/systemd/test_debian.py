"""PostgreSQL as Debian's packages install it: peer authentication, configuration below /etc, a unit for each cluster."""

import json
import subprocess

import pytest

from tests.program import Folder
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY, make_bucket, store

PASSWORD = "hidden-word-of-the-clerk"
INVENTORY = """
environment: lab
hosts:
  db: {{address: 127.0.0.1, port: {port}, user: ops, identity: {identity}, known_hosts: {known_hosts}, manager: {{sudo: true}}}}
services:
  database:
    kind: postgres
    host: db
    reach: ssh
    database: shop
    user: clerk
    password: !env CLERK_PASSWORD
    admin: {{user: postgres, socket: /var/run/postgresql}}
    run_as: postgres
    data_directory: /var/lib/postgresql/17/main
    bin: /usr/lib/postgresql/17/bin
    unit: {unit}
  backups: {{kind: s3, host: db, endpoint: "{endpoint}", bucket: {bucket}, access_key: !env S3_KEY, secret_key: !env S3_SECRET}}
"""
LOST = """
drill: sample
title: The cluster is lost and restored
service: database
objectives: {rpo: 1m}
guard: {environments: [lab]}
probes:
  - postgres.canary: {service: database}
ready:
  - postgres.healthy: {service: database}
backup:
  - postgres.dump: {service: database, to: "s3://backups/{{ run.id }}"}
    save: dump
  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}
inject:
  - postgres.lose_data: {service: database}
restore:
  - postgres.restore: {service: database, from: "{{ dump.location }}"}
verify:
  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}
"""
FILL = f"""
set -e
pg_dropcluster --stop 17 main
pg_createcluster 17 main --start -- --wal-segsize=4 --encoding=LATIN1 --locale=C --no-sync {{options}} >/dev/null
cd /
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE shop OWNER clerk ENCODING 'UTF8' TEMPLATE template0;
\\c shop
CREATE TABLE goods AS SELECT n AS id, 'good ' || n AS name FROM generate_series(1, 1000) AS n;
ALTER TABLE goods OWNER TO clerk;
ALTER SYSTEM SET work_mem = '5MB';
SELECT pg_reload_conf();
SQL
systemctl start postgresql@17-main
"""
KEPT = """
cd /
runuser -u postgres -- psql -At -F ' ' -c "
SELECT name, setting FROM pg_settings WHERE name IN ('data_checksums', 'wal_segment_size', 'config_file', 'work_mem',
  'data_directory_mode') ORDER BY 1"
runuser -u postgres -- psql -At -c "
SELECT pg_encoding_to_char(encoding), datcollate, datlocprovider, datlocale FROM pg_database WHERE datname = 'template1'"
ls -A /var/lib/postgresql/17/main | grep -v -e '^postmaster' -e '^pg_' | sort
find /etc/postgresql -type f -exec md5sum {} + | sort
systemctl is-active postgresql@17-main || true
"""
# A cluster as Red Hat's packages of postgresql.org make it: folders, unit, and configuration in the data directory.
RED_HAT = f"""
set -e
systemctl stop postgresql@17-main
mkdir -p /usr/pgsql-17 /var/lib/pgsql/17
ln -sfn /usr/lib/postgresql/17/bin /usr/pgsql-17/bin
rm -rf /var/lib/pgsql/17/data
chown -R postgres: /var/lib/pgsql
cat > /etc/systemd/system/postgresql-17.service <<'END'
[Unit]
Description=PostgreSQL 17 database server
[Service]
Type=notify
User=postgres
Environment=PGDATA=/var/lib/pgsql/17/data/
ExecStart=/usr/pgsql-17/bin/postgres -D $PGDATA
KillMode=mixed
KillSignal=SIGINT
TimeoutSec=0
END
systemctl daemon-reload
cd /
runuser -u postgres -- /usr/pgsql-17/bin/initdb -D /var/lib/pgsql/17/data --no-sync >/dev/null
systemctl start postgresql-17
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE shop OWNER clerk;
\\c shop
CREATE TABLE goods AS SELECT n AS id, 'good ' || n AS name FROM generate_series(1, 1000) AS n;
ALTER TABLE goods OWNER TO clerk;
SQL
"""
RED_HAT_KEPT = """
cd /
runuser -u postgres -- psql -At -c "SELECT name, setting FROM pg_settings WHERE name IN ('config_file', 'data_directory', 'hba_file')"
find /var/lib/pgsql/17/data -maxdepth 1 -name '*.conf' -not -name postgresql.auto.conf -exec md5sum {} + | sort
stat -c '%U %a' /var/lib/pgsql/17/data
systemctl is-active postgresql-17
"""


@pytest.fixture
def project(debian, tmp_path):
    """Function that creates a project folder for a new cluster with options of initdb."""
    gateway = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (tmp_path / "s3").mkdir()
    (tmp_path / "project").mkdir()
    with store(tmp_path / "s3", gateway) as backups:
        make_bucket(backups)
        folder = Folder(tmp_path / "project")
        folder.environment |= {"CLERK_PASSWORD": PASSWORD, "S3_KEY": KEY, "S3_SECRET": SECRET_KEY}

        def made(unit="postgresql@17-main", options=""):
            debian.root(FILL.replace("{options}", options))
            (folder.root / "inventory" / "lab.yml").write_text(
                INVENTORY.format(
                    port=debian.port,
                    identity=debian.client_key,
                    known_hosts=debian.known_hosts,
                    unit=unit,
                    endpoint=backups.endpoint,
                    bucket=BUCKET,
                )
            )
            folder.write(LOST.replace("s3://backups", f"s3://{BUCKET}").partition("service: database\n")[2], "lost")
            path = folder.root / "drills" / "lost.yml"
            path.write_text(path.read_text().replace("service: app", "service: database", 1))
            return folder

        yield made
        debian.root("systemctl stop postgresql-17 2>/dev/null; systemctl start postgresql@17-main 2>/dev/null; true")


def said(done):
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "options",
    [
        "--data-checksums --allow-group-access",
        "",
        "--locale-provider=icu --icu-locale=de --icu-rules='&a < g'",
        "--locale-provider=builtin --builtin-locale=C.UTF-8 --encoding=UTF8",
    ],
    ids=["checksums", "plain", "icu", "builtin"],
)
def test_a_lost_cluster_of_debian_is_restored_by_peer_authentication_as_it_was(debian, project, options):
    folder = project(options=options)
    before = debian.root(KEPT)
    done = folder.run("drill", "lost", timeout=240)
    assert done.returncode == 0, said(done)
    result = json.loads((folder.root / "reports" / "latest" / "result.json").read_text())
    assert result["verdict"] == "passed"
    assert result["objectives"]["rpo"]["measured_s"] is not None
    assert debian.root(KEPT) == before
    assert PASSWORD not in (folder.root / "reports" / "latest" / "journal.jsonl").read_text()
    assert debian.root("find /tmp /var/tmp -name '*.s.PGSQL*'; pgrep -f 'UNI[X]' || true") == ""


def test_without_a_unit_the_tools_of_debian_start_the_restored_cluster(debian, project):
    folder = project(unit='""')
    debian.root("systemctl stop postgresql@17-main; cd /; runuser -u postgres -- pg_ctlcluster 17 main start")
    before = debian.root(KEPT)
    done = folder.run("drill", "lost", timeout=240)
    assert done.returncode == 0, said(done)
    assert debian.root(KEPT) == before
    debian.root("cd /; runuser -u postgres -- pg_ctlcluster 17 main stop")


def test_a_cluster_of_red_hat_is_lost_and_restored(debian, project):
    folder = project(unit="postgresql-17")
    inventory = folder.root / "inventory" / "lab.yml"
    text = inventory.read_text().replace("/var/lib/postgresql/17/main", "/var/lib/pgsql/17/data")
    inventory.write_text(text.replace("/usr/lib/postgresql/17/bin", "/usr/pgsql-17/bin"))
    debian.root(RED_HAT)
    before = debian.root(RED_HAT_KEPT)
    assert before.split()[-1] == "active"
    done = folder.run("drill", "lost", timeout=240)
    assert done.returncode == 0, said(done)
    assert debian.root(RED_HAT_KEPT) == before


def test_a_role_connects_at_the_folder_of_the_socket(debian, project):
    folder = project()
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text().replace("reach: ssh\n", "reach: ssh\n    address: /var/run/postgresql\n"))
    hba = "/etc/postgresql/17/main/pg_hba.conf"
    debian.root(f"sed -i '1i local shop clerk scram-sha-256' {hba}; systemctl reload postgresql@17-main")
    before = debian.root(KEPT)
    done = folder.run("drill", "lost", timeout=240)
    assert done.returncode == 0, said(done)
    result = json.loads((folder.root / "reports" / "latest" / "result.json").read_text())
    assert result["objectives"]["rpo"]["measured_s"] is not None
    assert debian.root(KEPT) == before


def test_a_unit_that_only_starts_others_is_told_before_the_drill(debian, project):
    folder = project(unit="postgresql")
    done = folder.run("drill.check", "lost", timeout=120)
    assert done.returncode == 4, said(done)
    assert "set `unit` of the service to postgresql@17-main" in " ".join(said(done).split())
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text().replace("unit: postgresql\n", "unit: postgresql@17-main\n"))
    done = folder.run("drill.check", "lost", timeout=120)
    assert done.returncode == 0, said(done)


def test_a_user_who_may_not_become_the_superuser_is_told(debian, project):
    folder = project()
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text().replace("user: ops", "user: app"))
    done = folder.run("drill.check", "lost", timeout=120)
    assert done.returncode == 4, said(done)
    assert "would not be started as postgres: a password is required" in " ".join(said(done).split())
    inventory.write_text(inventory.read_text().replace("user: app", "user: ops"))
    done = folder.run("drill.check", "lost", timeout=120)
    assert done.returncode == 0, said(done)
