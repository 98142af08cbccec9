"""For each action of PostgreSQL: the programs, rights and connections that it needs on the host of the server."""

from drillbook.sdk.host_needs import HostNeeds

_STORE = "HTTPS from the host to the store"
_OWNER = "the rights of the server's operating system user (`run_as`), and of a superuser of the database"
_READ = "the database account in the inventory, with the right to read"
_TOOLS = f"{_READ}; the programs run as the user `run_as`"
_SANDBOX = "permission to write to `scratch`; the programs run as the user `run_as`"
_TABLE_OWNER = "the rights of the table's owner"
_TABLE = f"{_TABLE_OWNER}; the programs run as the user `run_as`"
_PORT = "access to the server's port, from the place that the setting `reach` names"
_REPLICATION = "a database account with the attribute REPLICATION; the programs run as the user `run_as`"
_SEND = (("python3", "curl"),)
_MANAGER = "permission to start and stop the unit (`manager: {sudo: true}`, or root)"
HOST_NEEDS = {
    "postgres.dump": HostNeeds(("pg_dump", "pg_dumpall"), _TOOLS, f"{_PORT}; {_STORE}", _SEND),
    "postgres.restore": HostNeeds(
        ("pg_restore", "psql", "initdb", "vacuumdb"),
        f"{_OWNER}; {_MANAGER}",
        f"{_PORT}; {_STORE}",
        (*_SEND, ("systemctl", "supervisorctl", "docker")),
    ),
    "postgres.restore_table": HostNeeds(("pg_restore", "psql"), _TABLE, f"{_PORT}; {_STORE}", _SEND),
    "postgres.restore_rows": HostNeeds(("pg_restore", "psql"), _TABLE, f"{_PORT}; {_STORE}", _SEND),
    "postgres.backup_intact": HostNeeds(("pg_restore",), _SANDBOX, _STORE, _SEND),
    "postgres.base_backup": HostNeeds(("pg_basebackup",), _REPLICATION, f"{_PORT}; {_STORE}", _SEND),
    "postgres.base_intact": HostNeeds(("pg_verifybackup", "tar"), _SANDBOX, _STORE, _SEND),
    "postgres.recover": HostNeeds(
        ("postgres", "initdb", "pg_controldata", "tar"),
        f"{_OWNER}; {_MANAGER}",
        f"{_PORT}; {_STORE}",
        (*_SEND, ("systemctl", "supervisorctl", "docker")),
    ),
    "postgres.stream_wal": HostNeeds(("pg_receivewal",), _REPLICATION, f"{_PORT}; {_STORE}", _SEND),
    "postgres.stop_wal": HostNeeds(("pg_receivewal",), "the account that started the WAL receiver", _STORE, _SEND),
    "postgres.wal_received": HostNeeds((), "the account that started the WAL receiver", _PORT),
    "postgres.lose_data": HostNeeds((), f"{_OWNER}; {_MANAGER}", _PORT, (("systemctl", "supervisorctl", "docker"),)),
    "postgres.stop": HostNeeds(("pg_ctl",), _OWNER, _PORT, (("systemctl", "supervisorctl", "docker"),)),
    "postgres.remove_cluster": HostNeeds((), _OWNER),
    "postgres.clear_restore": HostNeeds((), _OWNER, _PORT),
    "postgres.data_directory": HostNeeds(("pg_controldata",), _OWNER),
    "postgres.drop_table": HostNeeds((), _TABLE_OWNER, _PORT),
    "postgres.delete_rows": HostNeeds((), "a database account that may delete the rows", _PORT),
    "postgres.create_index": HostNeeds((), _TABLE_OWNER, _PORT),
    "postgres.drop_index": HostNeeds((), _TABLE_OWNER, _PORT),
    "postgres.terminate": HostNeeds((), "a database account with the role pg_signal_backend", _PORT),
    "postgres.intact": HostNeeds((), "a superuser, or an account that may call the functions of amcheck", _PORT),
    "postgres.newest_backup": HostNeeds(ports="access to the store from the controller"),
    "postgres.*": HostNeeds((), _READ, _PORT),
}
