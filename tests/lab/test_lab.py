"""Contents of the lab, behaviour of its application, and its restriction to loopback."""

import json
import socket
import ssl
import stat
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import LabError
from drillbook.lab import control, processes, schema, seed
from drillbook.lab.layout import ADDRESS, COLLECTION, HOSTS, SECRETS, Lab
from drillbook.sdk.web import ask
from tests import waiting

from .conftest import get, run

REFUSED = 2
"""Requests that may fail after the database is back: each waits a second for a connection of the pool."""
DIGEST = (
    "SELECT md5(string_agg(md5(t::text), '' ORDER BY id)) FROM (SELECT * FROM {} WHERE id <= 24000 AND {} <= 24000) AS t"
)


def admin(lab: Lab, database: str = "dpa", host: str = "db-1") -> psycopg.Connection:
    return psycopg.connect(
        host=ADDRESS,
        port=lab.port(f"postgres.{host}"),
        user="postgres",
        dbname=database,
        password=lab.secret("pg_admin"),
        autocommit=True,
    )


def supervisor(lab: Lab, host: str, *words: str) -> None:
    done = run(lab, host, f"supervisorctl -c supervisord.conf {' '.join(words)}")
    assert done.status == 0, done


def until(wanted: int, lab: Lab, path: str) -> int:
    """Wait until the API answers with that status. Return the number of other answers before it."""
    others: list[int | None] = []

    def held() -> bool:
        others.append(answered(lab, path))
        return others[-1] == wanted

    waiting.until(held, f"the status {wanted} from {path}")
    return len(others) - 1


def answered(lab: Lab, path: str) -> int | None:
    """Status of the answer, or None while nothing listens, as right after the start of a program."""
    try:
        return get(lab, path)[0]
    except urllib.error.URLError:
        return None


def digests(connection: psycopg.Connection) -> list[str]:
    connection.execute("SET timezone = 'UTC'")
    return [
        connection.execute(DIGEST.format(table, column)).fetchone()[0]
        for table, column in (("documents", "id"), ("chunks", "document_id"))
    ]


INNER = ("master", "volume", "filer", "admin")


@pytest.mark.parametrize("part", INNER)
def test_the_parts_of_the_store_ask_for_credentials(lab: Lab, part: str) -> None:
    """Any local user could otherwise read, write and delete every backup through a loopback port."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for scheme in ("http", "https"):
        for method, path in (
            ("GET", "/buckets/"),
            ("GET", "/dir/assign"),
            ("GET", "/dir/status"),
            ("DELETE", "/buckets/"),
            ("PUT", "/buckets/dr-backups/forged"),
            ("POST", "/1,01637037d6"),
            ("POST", "/col/delete"),
        ):
            request = urllib.request.Request(
                f"{scheme}://{ADDRESS}:{lab.port(part)}{path}",
                method=method,
                data=b"x" if method in ("PUT", "POST") else None,
            )
            handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
            with pytest.raises(OSError) as refused:
                urllib.request.build_opener(*handlers).open(request, timeout=10)
            if isinstance(refused.value, urllib.error.HTTPError):
                said = refused.value.read()
                refused.value.close()
                assert (refused.value.code, b"HTTPS server" in said) == (400, True), (scheme, method, path, said)


@pytest.mark.parametrize("part", [*INNER, "s3"])
def test_nobody_without_a_certificate_speaks_grpc_to_the_store(lab: Lab, part: str) -> None:
    """Connections without TLS get no answer, and connections with TLS are closed unless the client has a certificate."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    with socket.create_connection((ADDRESS, lab.port(f"{part}.grpc")), timeout=10) as plain:
        plain.sendall(preface)
        assert _answer(plain)[3:4] != b"\x04", "it took the connection: these are its settings"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((ADDRESS, lab.port(f"{part}.grpc")), timeout=10) as plain,
        pytest.raises(ssl.SSLError, match="certificate required"),
        context.wrap_socket(plain) as secured,
    ):
        secured.sendall(preface)
        _answer(secured)


def _answer(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_no_other_user_reads_the_stores_certificate(lab: Lab) -> None:
    folder = lab.home("store-1") / "certificates"
    assert folder.stat().st_mode & 0o077 == 0
    assert [one.name for one in folder.iterdir() if one.stat().st_mode & 0o077] == []


def test_up_again_uses_the_lab_that_runs(lab: Lab) -> None:
    assert control.up(lab.folder).pid == lab.pid


def test_status_shows_every_component(lab: Lab) -> None:
    status = control.status(lab.folder)
    assert status.running
    assert status.healthy
    down = [(part.name, part.host) for part in status.components if not part.up]
    assert down == [("shop", "db-1"), ("postgresql", "db-2"), ("spare-api", "db-2"), ("copy-api", "db-2")]
    assert all(part.pid for part in status.components if part.up)


def test_the_database_is_of_the_promised_size_and_owned_by_the_application(lab: Lab) -> None:
    with admin(lab) as connection:
        row = connection.execute(
            "SELECT pg_database_size('dpa'), (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks), "
            "(SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'), "
            "current_setting('data_checksums'), current_setting('fsync')"
        ).fetchone()
    assert row[0] >= 60_000_000
    assert row[1] >= schema.DOCUMENTS >= 20_000
    assert row[2] >= 100_000
    assert row[3:] == ("dpa", "on", "on")


def test_completed_documents_have_chunks(lab: Lab) -> None:
    with admin(lab) as connection:
        orphans = connection.execute(
            "SELECT count(*) FROM documents d LEFT JOIN chunks c ON d.id = c.document_id "
            "WHERE c.id IS NULL AND d.status = 'completed'"
        ).fetchone()
    assert orphans == (0,)


def test_the_seed_is_the_same_every_time(lab: Lab) -> None:
    with admin(lab, "postgres") as connection:
        seed.create_database(connection, "again", "secret")
    with (
        psycopg.connect(
            host=ADDRESS, port=lab.port("postgres.db-1"), user="again", dbname="again", password="secret", autocommit=True
        ) as again,
        admin(lab) as first,
    ):
        seed.fill_documents(again)
        assert digests(again) == digests(first)
    with admin(lab, "postgres") as connection:
        connection.execute("DROP DATABASE again WITH (FORCE)")
        connection.execute("DROP ROLE again")


def test_passwords_are_needed(lab: Lab) -> None:
    for host in (ADDRESS, str(lab.home("db-1"))):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=lab.port("postgres.db-1"), user="postgres", dbname="postgres", password="wrong")


def test_the_api_serves_what_is_stored(lab: Lab) -> None:
    assert get(lab, "/health") == (
        200,
        {"status": "ok", "dependencies": {"postgresql": "up", "redis": "up", "s3": "up"}, "failing": {}},
    )
    assert len(get(lab, "/api/v1/documents?limit=7")[1]["documents"]) == 7
    assert [chunk["ordinal"] for chunk in get(lab, "/api/v1/documents/5")[1]["chunks"]] == [1, 2, 3, 4, 5]
    assert get(lab, "/api/v1/documents/999999999")[0] == 404
    with urllib.request.urlopen(f"{lab.api}/api/v1/documents/5/original") as answer:
        assert answer.read() == seed.original(5)


def test_traffic_makes_documents_and_leaves_traces(lab: Lab) -> None:
    def total() -> float:
        with urllib.request.urlopen(f"{lab.api}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        bucket = 'http_request_duration_seconds_bucket{route="/api/v1/documents/{number}"'
        assert any(line.startswith(bucket) for line in lines)
        return float(next(line for line in lines if line.startswith("documents_total")).split()[1])

    before = total()
    waiting.until(lambda: total() > before, "a new document")
    assert "duration=" in (lab.home("app-1") / "log" / "access.log").read_text().splitlines()[-1]


def test_the_api_follows_the_database(lab: Lab) -> None:
    supervisor(lab, "db-1", "stop", "postgresql")
    status, body = get(lab, "/health")
    assert (status, body["status"], list(body["failing"])) == (503, "unavailable", ["postgresql"])
    until(503, lab, "/api/v1/documents")  # once its cache has expired
    # long enough for a pool to make its pauses longer
    waiting.nothing_happens_for(7, lambda: answered(lab, "/health") == 200)
    run(lab, "db-1", "nohup supervisorctl -c supervisord.conf start postgresql >/dev/null 2>&1 &")
    until(200, lab, "/health")
    assert until(200, lab, "/api/v1/documents/3") <= REFUSED, "the pool waits for its next attempt"
    until(200, lab, "/api/v1/documents")


@pytest.mark.parametrize(("unit", "name"), [("redis", "redis"), ("s3", "s3")])
def test_other_dependencies_only_degrade_the_api(lab: Lab, unit: str, name: str) -> None:
    supervisor(lab, "store-1", "stop", unit)
    waiting.until(lambda: get(lab, "/health")[1]["status"] == "degraded", "degraded")
    status, body = get(lab, "/health")
    assert (status, body["status"], list(body["failing"])) == (200, "degraded", [name])
    assert get(lab, "/api/v1/documents")[0] == 200
    supervisor(lab, "store-1", "start", unit)
    waiting.until(lambda: get(lab, "/health")[1]["status"] == "ok", "health")


def test_what_is_killed_stays_dead(lab: Lab) -> None:
    pid = int(run(lab, "app-1", "supervisorctl -c supervisord.conf pid traffic").out)
    run(lab, "app-1", f"kill -9 {pid}")

    def shown() -> bytes:
        return run(lab, "app-1", "supervisorctl -c supervisord.conf status traffic").out

    waiting.until(lambda: b"EXITED" in shown(), "the end of the program")
    waiting.nothing_happens_for(1.5, lambda: b"EXITED" not in shown())
    supervisor(lab, "app-1", "start", "traffic")


def test_an_api_without_a_variable_says_which(lab: Lab) -> None:
    file = lab.home("app-1") / "api.env"
    whole = file.read_text()
    names = [line.split("=")[0] for line in whole.splitlines()]
    assert [line.rstrip("=") for line in (file.parent / "api.env.template").read_text().splitlines()] == names
    log = file.parent / "log" / "api.log"
    said = "missing environment variables: REDIS_URL"
    before = log.read_text().count(said)
    try:
        run(lab, "app-1", "sed -i /^REDIS_URL/d api.env")
        # Its end is an error of this command if it comes soon; on a busy machine, the API has counted as started by then.
        run(lab, "app-1", "supervisorctl -c supervisord.conf restart api")
        waiting.until(lambda: log.read_text().count(said) > before, "the API names the variable")
    finally:
        run(lab, "app-1", "cat > api.env", stdin=whole.encode())
        run(lab, "app-1", "supervisorctl -c supervisord.conf restart api")
        until(200, lab, "/health")


def test_the_database_comes_back_after_its_data_was_wiped(lab: Lab) -> None:
    port, data = lab.port("postgres.db-1"), lab.data_directory("db-1")
    supervisor(lab, "app-1", "stop", "traffic")  # traffic would write into tables without keys
    with admin(lab) as connection:
        before = digests(connection)
    env = f"export PGPASSWORD={lab.secret('pg_admin')} PGHOST={ADDRESS} PGPORT={port} PGUSER=postgres;"
    assert run(lab, "db-1", f"{env} pg_dump -Fc -f tmp/dpa.dump dpa").status == 0
    supervisor(lab, "db-1", "stop", "postgresql")
    assert run(lab, "db-1", f"rm -rf {data}").status == 0
    assert run(lab, "db-1", "supervisorctl -c supervisord.conf start postgresql").status != 0
    done = run(
        lab,
        "db-1",
        f"printf %s {lab.secret('pg_admin')} > tmp/pw && initdb -N -U postgres -A scram-sha-256 "
        f"--pwfile tmp/pw -E UTF8 --locale C -D {data} && "
        f"cat postgresql.lab.conf >> {data}/postgresql.conf",
    )
    assert done.status == 0, done
    supervisor(lab, "db-1", "start", "postgresql")
    assert get(lab, "/health")[0] == 503
    with admin(lab, "postgres") as connection:
        seed.create_database(connection, "dpa", lab.secret("pg_app"))
    done = run(lab, "db-1", f"{env} pg_restore -j2 -d dpa tmp/dpa.dump")
    assert done.status == 0, done
    until(200, lab, "/health")
    assert until(200, lab, "/api/v1/documents/3") <= REFUSED, "the pool waits for its next attempt"
    with admin(lab) as connection:
        assert digests(connection) == before
    supervisor(lab, "app-1", "start", "traffic")


def test_every_socket_is_on_loopback(lab: Lab) -> None:
    pids = processes.below([lab.pid], processes.everything()) | {lab.pid}
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    seen = 0
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                seen += 1
                addresses = {fields[1].split(":")[0], fields[2].split(":")[0]} - {"00000000" if fields[3] == "0A" else ""}
                assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}, f"{table}: {line}"
    assert seen > 15


def test_secrets_are_private(lab: Lab) -> None:
    files = [lab.folder / "id", *(lab.folder / "secrets" / name for name in SECRETS)]
    files += [lab.home(host) / "supervisord.conf" for host in HOSTS] + [lab.home("app-1") / "api.env"]
    assert [file for file in files if stat.S_IMODE(file.stat().st_mode) != 0o600] == []
    assert stat.S_IMODE((lab.folder / "secrets").stat().st_mode) == stat.S_IMODE(lab.folder.stat().st_mode) == 0o700
    assert len({lab.secret(name) for name in SECRETS}) == len(SECRETS)


def test_lookup(lab: Lab) -> None:
    assert control.lookup(lab.folder, "ssh.db-1") == lab.port("ssh.db-1")
    assert control.lookup(lab.folder, "api.url") == lab.api
    assert control.lookup(lab.folder, "secrets.pg_app") == str(lab.folder / "secrets" / "pg_app")
    down = Path("/var/tmp/no-such-lab")
    assert control.lookup(down, "redis.port") == Lab.preferred(down).port("redis")
    with pytest.raises(LabError, match=r"similar names: .*ssh\.db-1"):
        control.lookup(lab.folder, "ssh.db1")


def test_the_chunks_of_the_first_documents_have_vectors(lab: Lab) -> None:
    asked = {"limit": 10_000, "with_payload": True, "with_vector": True}
    answer = ask(
        f"{lab.vectors}/collections/{COLLECTION}/points/scroll",
        timeout=30,
        method="POST",
        headers={"api-key": lab.secret("vectors")},
        body=json.dumps(asked).encode(),
        limit=8 << 20,
    )
    points = json.loads(answer.body)["result"]["points"]
    with admin(lab) as connection:
        rows = connection.execute(
            "SELECT id, document_id FROM chunks WHERE document_id <= %s ORDER BY id", [seed.EMBEDDED]
        ).fetchall()
    assert [(point["id"], point["payload"]["document_id"]) for point in points] == rows
    assert len(points) == 1980
    assert {len(point["vector"]) for point in points} == {seed.DIMENSIONS}
