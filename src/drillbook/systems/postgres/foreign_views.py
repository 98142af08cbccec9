"""Restores materialized views over foreign tables. These views remain empty, because a sandbox cannot reach a foreign server.
When the REFRESH of such a view fails, the restore continues. When the REFRESH of any other view fails, the restore fails.
"""

from __future__ import annotations

import re

# ARCHIVE PG_RESTORE FOLDER UNPACKER...: write the archive's list without the REFRESH of materialized views, and this REFRESH
# as SQL.
SPLIT = """
path=$1 restore=$2 folder=$3 entry='^[0-9]+; [0-9]+ [0-9]+ MATERIALIZED VIEW DATA '
shift 3
umask 077
read_archive() {
  if test "$tool" = cat; then "$restore" "$@" -- "$path"; else $tool < "$path" | "$restore" "$@"; fi
}
tool="$*"
read_archive --list > "$folder/whole.list" || exit 1
grep -vE "$entry" "$folder/whole.list" > "$folder/rest.list"
grep -E "$entry" "$folder/whole.list" > "$folder/views.list" || exit 0
read_archive --use-list="$folder/views.list" --file="$folder/views.sql"
"""
REST, VIEWS = "rest.list", "views.sql"
_TRY = r"""
DO $drillbook$ BEGIN REFRESH MATERIALIZED VIEW \1; EXCEPTION WHEN OTHERS THEN
IF EXISTS (WITH RECURSIVE used (oid) AS (SELECT $name$\1$name$::pg_catalog.regclass::pg_catalog.oid
UNION SELECT x.oid FROM used u CROSS JOIN LATERAL (
SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE r.ev_class = u.oid UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = u.oid) AS x (oid))
SELECT FROM used u JOIN pg_catalog.pg_class c ON c.oid = u.oid WHERE c.relkind = 'f')
THEN RAISE WARNING 'drillbook: not filled: %: %', $name$\1$name$, SQLERRM; ELSE RAISE; END IF; END $drillbook$;
"""
TOLERANT = (
    "/^-- (Data for )?Name: .*; Type: MATERIALIZED VIEW DATA; /,/^REFRESH MATERIALIZED VIEW /{"
    f"s/^REFRESH MATERIALIZED VIEW (.*);$/{' '.join(_TRY.split())}/;"
    "}"
)
"""Script of sed that edits the REFRESH statements in a dump. A failed REFRESH of a view over a foreign table then causes a
warning, and no error.
"""
_WARNING = re.compile(r"WARNING:  drillbook: not filled: (.*?): (.*)")


def not_filled(said: str) -> dict[str, str]:
    """Read the messages of psql, and return the views that were not filled, each with the reason."""
    return dict(_WARNING.findall(said))
