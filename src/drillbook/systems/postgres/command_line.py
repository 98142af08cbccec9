"""Checks that a server loses no settings when it is started again.

A setting that was given only on the command line would be lost, so it must also be in the configuration files.
"""

from __future__ import annotations

import psycopg

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import once_more
from drillbook.systems.postgres.connection import answers, connected, reason
from drillbook.systems.postgres.programs import Tools

# A setting that has the same value in the last line of the files is not lost. The view shows a value in the unit of the server,
# current_setting as a text with its unit, and the files as they are written. The server itself sets the paths of its
# configuration files once more, so their source is always `override`: they are lost when a start by the data directory alone
# would look elsewhere. PGPORT in the environment of the first start is not repeated either.
_ONLY_THERE = """
WITH s AS (
  SELECT s.*, (SELECT f.setting FROM pg_catalog.pg_file_settings f WHERE f.name = s.name ORDER BY f.seqno DESC LIMIT 1) AS filed,
    pg_catalog.current_setting('data_directory') || '/' AS data
  FROM pg_catalog.pg_settings s
)
SELECT s.name::text FROM s
WHERE (s.source = 'command line' OR (s.source = 'environment variable' AND s.name = 'port'))
  AND coalesce(s.filed NOT IN (s.setting, pg_catalog.current_setting(s.name)), true)
  AND NOT coalesce(s.vartype = 'bool' AND s.setting = CASE
    WHEN lower(s.filed) IN ('on', 'true', 'yes', '1') THEN 'on'
    WHEN lower(s.filed) IN ('off', 'false', 'no', '0') THEN 'off'
  END, false)
UNION
SELECT s.name::text FROM s JOIN (
  VALUES ('config_file', 'postgresql.conf'), ('hba_file', 'pg_hba.conf'), ('ident_file', 'pg_ident.conf')
) AS usual (name, file) ON usual.name = s.name
WHERE s.setting NOT IN (s.data || usual.file, coalesce(s.filed, ''), s.data || coalesce(s.filed, ''))
ORDER BY 1
"""
# DATA: succeed if pg_ctlcluster starts the cluster in DATA. It passes the paths of Debian's configuration, and the options in
# pg_ctl.conf, again.
_DEBIAN = """
test ! -f "$1/postgresql.conf" && command -v pg_lsclusters >/dev/null || exit 1
pg_lsclusters --no-header | awk -v data="$1" '$6 == data { found = 1 } END { exit !found }'
"""


def need_repeated(ctx: Context, tools: Tools) -> None:
    """Check that the server keeps the settings of its present command line when pg_ctl starts it again.

    A server with a unit is not checked, because the unit starts it with the same command line each time. A server that does
    not answer is not checked either. Raises NotReady when a setting would be lost, and CouldNotVerify when the server
    cannot be queried.
    """
    service = tools.service
    if service.unit or not answers(ctx, service):
        return
    try:
        with connected(ctx, service, database="postgres") as session:
            names = [str(name) for (name,) in session.execute(_ONLY_THERE).fetchall()]
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(
            f"{service.name} cannot be queried for its command line: {reason(error)}",
            hint="check `address` and `port` of the service in the inventory, and let its superuser log in",
        ) from error
    if not names or once_more(lambda: tools.owned(("sh", "-c", _DEBIAN, "sh", service.data))).ok:
        return
    raise NotReady(
        f"{tools.host.name}: the server of {service.name} has {', '.join(names)} from its command line, and pg_ctl would start "
        "the server without them",
        hint="write these settings into postgresql.conf in the data directory, and restart the server without these options; or let "
        "a service manager start the server, and set `unit` of the service",
    )
