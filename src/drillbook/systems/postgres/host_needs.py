"""Programs, rights and connections that each PostgreSQL action needs on the host of the server."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_STORE = "HTTPS from the host to the store"
_STORE_HERE = "the store, from the controller"
_OWNER = "the operating system user of the server (`run_as`), and a superuser of the database"
_READ = "the database account in the inventory, with rights to the data that the step uses"
_TOOLS = f"{_READ}; the programs run as the user `run_as`"
_SANDBOX = "write to the folder `scratch` as the user `run_as`; the programs run as this user"
_TABLE = "the database account that owns the table; the programs run as the user `run_as`"
_PORT = "the server's port, by `reach`"
_SEND = (("python3", "curl"),)
_MANAGER = "start and stop the unit (`manager: {sudo: true}`, or root)"
HOST_NEEDS = {
    "postgres.dump": HostNeeds(("pg_dump", "pg_dumpall"), _TOOLS, f"{_PORT}; {_STORE}", _SEND, by_sudo=BySudo.RUN_AS),
    "postgres.restore": HostNeeds(
        ("pg_restore", "psql", "initdb", "vacuumdb"),
        f"{_OWNER}; {_MANAGER}",
        f"{_PORT}; {_STORE}",
        (*_SEND, ("systemctl", "supervisorctl", "docker")),
        by_sudo=BySudo.UNIT | BySudo.RUN_AS,
    ),
    "postgres.restore_table": HostNeeds(("pg_restore", "psql"), _TABLE, f"{_PORT}; {_STORE}", _SEND, by_sudo=BySudo.RUN_AS),
    "postgres.restore_table_from_dump": HostNeeds(
        ("pg_restore", "psql"),
        f"{_TABLE}; permission to read the dumps",
        f"{_PORT}; the host, bucket or URL of the dumps",
        by_sudo=BySudo.RUN_AS,
    ),
    "postgres.restore_rows": HostNeeds(("pg_restore", "psql"), _TABLE, f"{_PORT}; {_STORE}", _SEND, by_sudo=BySudo.RUN_AS),
    "postgres.backup_intact": HostNeeds(("pg_restore",), _SANDBOX, _STORE, _SEND, by_sudo=BySudo.RUN_AS),
    "postgres.base_backup": HostNeeds(
        ("pg_basebackup",),
        "a database account with REPLICATION; the programs run as the user `run_as`",
        f"{_PORT}; {_STORE}",
        _SEND,
        by_sudo=BySudo.RUN_AS,
    ),
    "postgres.base_intact": HostNeeds(("pg_verifybackup", "tar"), _SANDBOX, _STORE, _SEND, by_sudo=BySudo.RUN_AS),
    "postgres.recover": HostNeeds(
        ("postgres", "initdb", "pg_controldata", "tar"),
        f"{_OWNER}; {_MANAGER}",
        f"{_PORT}; {_STORE}",
        (*_SEND, ("systemctl", "supervisorctl", "docker")),
        by_sudo=BySudo.UNIT | BySudo.RUN_AS,
    ),
    "postgres.stream_wal": HostNeeds(
        ("pg_receivewal", "psql"),
        "a database account with REPLICATION; the programs run as the user `run_as`",
        f"{_PORT}; {_STORE}",
        _SEND,
        by_sudo=BySudo.RUN_AS,
    ),
    "postgres.stop_wal": HostNeeds(("pg_receivewal",), "the account that started the WAL receiver", _STORE, _SEND),
    "postgres.wal_received": HostNeeds((), "the account that started the WAL receiver", _PORT),
    "postgres.lose_data": HostNeeds(
        (), f"{_OWNER}; {_MANAGER}", _PORT, (("systemctl", "supervisorctl", "docker"),), by_sudo=BySudo.UNIT | BySudo.RUN_AS
    ),
    "postgres.stop": HostNeeds(
        ("pg_ctl",), _OWNER, _PORT, (("systemctl", "supervisorctl", "docker"),), by_sudo=BySudo.RUN_AS
    ),
    "postgres.remove_cluster": HostNeeds((), _OWNER, by_sudo=BySudo.RUN_AS),
    "postgres.clear_restore": HostNeeds((), _OWNER, _PORT, by_sudo=BySudo.RUN_AS),
    "postgres.data_directory": HostNeeds(("pg_controldata",), _OWNER, by_sudo=BySudo.RUN_AS),
    "postgres.drop_table": HostNeeds((), "the owner of the table", _PORT),
    "postgres.delete_rows": HostNeeds((), "a database account with the right to delete the rows", _PORT),
    "postgres.create_index": HostNeeds((), "the owner of the table", _PORT),
    "postgres.drop_index": HostNeeds((), "the owner of the table", _PORT),
    "postgres.terminate": HostNeeds(
        (),
        "for sessions of other roles: a database account with pg_read_all_stats and pg_signal_backend; for those of a "
        "superuser: a superuser",
        _PORT,
    ),
    **{
        f"postgres.{name}": HostNeeds((), "a database account with pg_read_all_stats, to see sessions of other roles", _PORT)
        for name in ("blocked", "connections", "statements")
    },
    "postgres.intact": HostNeeds((), "a superuser, or the right to run the functions of amcheck", _PORT),
    "postgres.matches": HostNeeds((), _READ, f"{_PORT}; {_STORE_HERE}"),
    "postgres.references": HostNeeds((), _READ, f"{_PORT}; {_STORE_HERE}"),
    "postgres.newest_backup": HostNeeds(ports=_STORE_HERE),
    "postgres.*": HostNeeds((), _READ, _PORT),
}
