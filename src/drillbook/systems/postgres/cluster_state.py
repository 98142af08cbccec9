"""State of a cluster: its roles, memberships, settings, databases, tablespaces, and rules of pg_hba.conf.

A backup stores this state in a file of its own. The file contains salted digests of passwords (see ``keyed_digests``).
Everything else is stored as in the catalogs.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from drillbook.sdk.action import Context
from drillbook.sdk.stored_backup import Part
from drillbook.systems.postgres.connection import Connection, connected, first_row
from drillbook.systems.postgres.differences import Difference, Objects
from drillbook.systems.postgres.keyed_digests import Sealing
from drillbook.systems.postgres.privileges import grants
from drillbook.systems.postgres.service import Postgres
from drillbook.values import canonical

FILE = "cluster.json"
RULE, SETTING, DATABASE = "rule of pg_hba.conf", "setting", "database of the cluster"
NOT_COVERED = (
    "mappings of pg_ident.conf, grants on parameters, and the content of other databases are not compared; rules of pg_hba.conf "
    "are read from the file, which the server has perhaps not loaded yet; settings are read from the running server"
)
DIFFERENT_PLACE = "this cluster is not the one that was backed up; `cluster: true` compares it nevertheless"
NOT_RECORDED = "the backup does not contain the state of the cluster"

_PLACE = {
    "port",
    "listen_addresses",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "application_name",
    "client_encoding",
    "in_hot_standby",
    "hot_standby",  # a primary does not use it, and after a recovery it is off until the next restart
    "transaction_isolation",
    "transaction_read_only",
    "transaction_deferrable",
    "is_superuser",
    "session_authorization",
}
COPY = ("archive_mode", "primary_conninfo", "restore_command")
"""Names of the settings that a restore to another server changes on purpose."""

_ROLES = """
SELECT pg_catalog.quote_ident(r.rolname), {password}, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
  'login', r.rolcanlogin, 'superuser', r.rolsuper, 'inherit', r.rolinherit, 'create roles', r.rolcreaterole,
  'create databases', r.rolcreatedb, 'replication', r.rolreplication, 'bypass row security', r.rolbypassrls,
  'connection limit', r.rolconnlimit, 'valid until', r.rolvaliduntil::text,
  'comment', pg_catalog.shobj_description(r.oid, 'pg_authid')))
FROM {catalog} r WHERE r.rolname !~ '^pg_'
"""
# Before version 16 the member's attribute INHERIT applied to all memberships, and every member could SET ROLE.
_MEMBERS = """
SELECT pg_catalog.format('%I in %I', m.rolname, r.rolname), pg_catalog.jsonb_build_object('granted',
  pg_catalog.jsonb_agg(pg_catalog.format('by %I, admin %s, inherit %s, set %s', g.rolname, a.admin_option,
    coalesce((pg_catalog.to_jsonb(a) ->> 'inherit_option')::bool, m.rolinherit),
    coalesce((pg_catalog.to_jsonb(a) ->> 'set_option')::bool, true)) ORDER BY g.rolname))
FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantor
WHERE m.rolname !~ '^pg_' GROUP BY m.rolname, r.rolname
"""
_ROLE_SETTINGS = """
SELECT pg_catalog.quote_ident(r.rolname) || coalesce(' in ' || pg_catalog.quote_ident(d.datname), ''), s.setconfig
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
"""
_DATABASES = """
SELECT pg_catalog.quote_ident(d.datname), pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(d.datdba),
  'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'collation', d.datcollate, 'character type', d.datctype,
  'connections', d.datallowconn, 'template', d.datistemplate)
FROM pg_catalog.pg_database d WHERE pg_catalog.strpos(d.datname, '~restoring~') = 0
"""
_TABLESPACES = """
SELECT pg_catalog.quote_ident(t.spcname), pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
  'owner', pg_catalog.pg_get_userbyid(t.spcowner), 'options', t.spcoptions,
  'grants', {grants},
  'comment', pg_catalog.shobj_description(t.oid, 'pg_tablespace')))
FROM pg_catalog.pg_tablespace t
""".replace("{grants}", grants("t.spcacl", "pg_catalog.acldefault('t', t.spcowner)"))
_RULES = """
SELECT h.line_number, h.type, h.database, h.user_name, h.address, h.netmask, h.auth_method, h.options, h.error
FROM pg_catalog.pg_hba_file_rules h
"""
_SETTINGS = """
SELECT s.name, s.setting || coalesce(s.unit, ''), s.source IN ('configuration file', 'command line', 'environment variable')
FROM pg_catalog.pg_settings s WHERE s.context <> 'internal' AND s.source NOT IN ('client', 'session', 'override')
"""
_MAY = """
SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'),
       pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE')
       AND pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT'),
       pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
"""


class ClusterState(Part):
    """Content of the file ``cluster.json``: the properties of the cluster's objects.

    ``unreadable``: kinds of objects that the login has no right to read, each with the reason.
    """

    format: Literal["drillbook/postgres-cluster/1"] = "drillbook/postgres-cluster/1"
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    objects: Objects
    unreadable: dict[str, str] = Field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the state as canonical JSON, the format of the file."""
        return canonical(self.model_dump(mode="json"))


def recorded(ctx: Context, service: Postgres, sealing: Sealing | None = None) -> ClusterState:
    """Read the state of the cluster. Raises psycopg.Error when a query fails, and HostError when the host cannot be used.

    ``sealing`` computes the salted digests of secrets. When ``sealing`` is None, a new salt is made.
    """
    sealing = sealing or Sealing.fresh()
    with connected(ctx, service, database="postgres") as session:
        return _read(session, sealing)


def _read(session: Connection, sealing: Sealing) -> ClusterState:
    passwords, rules, settings = first_row(session, _MAY)
    objects: Objects = {
        "role": _roles(session, sealing, passwords=passwords),
        "membership": dict(session.execute(_MEMBERS).fetchall()),
        "settings of a role": {name: sealing.settings(given) for name, given in session.execute(_ROLE_SETTINGS).fetchall()},
        DATABASE: dict(session.execute(_DATABASES).fetchall()),
        "tablespace": dict(session.execute(_TABLESPACES.encode()).fetchall()),
    }
    if rules:
        objects[RULE] = _rules(session, sealing)
    if settings:
        objects[SETTING] = _settings(session, sealing)
    may = {"passwords of roles": passwords, RULE: rules, SETTING: settings}
    return ClusterState(
        salt=sealing.salt,
        objects=objects,
        unreadable={
            kind: "the account that took the backup has no right to read this part"
            for kind, allowed in may.items()
            if not allowed
        },
    )


def _roles(session: Connection, sealing: Sealing, *, passwords: bool) -> dict[str, dict[str, Any]]:
    catalog, column = ("pg_catalog.pg_authid", "r.rolpassword") if passwords else ("pg_catalog.pg_roles", "NULL")
    rows = session.execute(_ROLES.format(password=column, catalog=catalog).encode()).fetchall()
    return {
        str(name): properties | ({"password": sealing.seal(secret)} if passwords else {})
        for name, secret, properties in rows
    }


def _rules(session: Connection, sealing: Sealing) -> dict[str, dict[str, Any]]:
    """Return the rules of pg_hba.conf. The key of each entry is the text of a rule. The value holds the rule's position in
    the file and its options.
    """
    rules: dict[str, dict[str, Any]] = {}
    for _, *parts, options, error in sorted(session.execute(_RULES).fetchall(), key=lambda row: int(row[0])):
        words = [",".join(part) if isinstance(part, list) else str(part) for part in parts if part is not None]
        name = " ".join(words) or f"line with an error: {error}"
        rules.setdefault(name, {"order": len(rules) + 1, "options": sealing.settings(options)})
    return rules


def _settings(session: Connection, sealing: Sealing) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": sealing.setting(name, value), "set": bool(chosen)}
        for name, value, chosen in session.execute(_SETTINGS).fetchall()
        if name not in _PLACE
    }


def comparable(wanted: ClusterState, measured: ClusterState, *, copy: bool) -> tuple[Objects, Objects]:
    """Return the objects of both states that can be compared.

    ``copy`` is true if the cluster is a copy on another server. A setting is compared only if a configuration file or the
    command line sets it in at least one of the two clusters.
    """
    kinds = wanted.objects.keys() & measured.objects.keys()
    before, now = ({kind: dict(state.objects[kind]) for kind in sorted(kinds)} for state in (wanted, measured))
    if SETTING in kinds:
        left, right = before[SETTING], now[SETTING]
        names = {name for name in left.keys() & right.keys() if left[name]["set"] or right[name]["set"]}
        names -= set(COPY) if copy else set()
        before[SETTING], now[SETTING] = ({name: {"value": side[name]["value"]} for name in names} for side in (left, right))
    if (
        RULE in kinds and before[RULE].keys() != now[RULE].keys()
    ):  # otherwise one inserted rule would make all later rules different
        before[RULE], now[RULE] = (
            {name: {"options": rule["options"]} for name, rule in side[RULE].items()} for side in (before, now)
        )
    if "passwords of roles" in wanted.unreadable | measured.unreadable:
        before["role"], now["role"] = (
            {name: {key: value for key, value in role.items() if key != "password"} for name, role in side["role"].items()}
            for side in (before, now)
        )
    return before, now


def code(difference: Difference) -> str:
    """Return the code of the finding for a difference between the states of two clusters."""
    if difference.kind == DATABASE and difference.measured == "missing":
        return "database-missing"
    return {RULE: "access-differs", SETTING: "setting-differs"}.get(difference.kind, "cluster-differs")
