"""SQL expressions that read grants, and a query that finds changed grants on objects of the server and of extensions."""

from __future__ import annotations


def no_member(catalog: str, oid: str) -> str:
    """Return an SQL condition that excludes the objects that belong to extensions."""
    return (
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend x "
        f"WHERE x.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND x.objid = {oid} AND x.deptype = 'e')"
    )


def exploded(acl: str) -> str:
    """Return an SQL query that lists the grants in the access control list ``acl`` as text."""
    return (
        "SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(e.grantee)::text END || ': ' "
        "|| e.privilege_type || CASE WHEN e.is_grantable THEN ' with grant option' ELSE '' END "
        f"FROM pg_catalog.aclexplode({acl}) AS e"
    )


def grants(acl: str, default: str) -> str:
    """Return an SQL expression that lists the differences between the access control lists ``acl`` and ``default``.

    A grant that only ``acl`` contains has the prefix ``+``. A grant that only ``default`` contains has the prefix ``-``.
    A list of all grants would depend on the server's version, because PostgreSQL 17 added the privilege MAINTAIN for
    owners.
    """
    given, usual = exploded(f"coalesce({acl}, {default})"), exploded(default)
    return (
        '(SELECT pg_catalog.jsonb_agg(g ORDER BY g COLLATE "C") FROM ('
        f"SELECT '+' || more FROM ({given} EXCEPT {usual}) AS m (more) UNION ALL "
        f"SELECT '-' || less FROM ({usual} EXCEPT {given}) AS l (less)) AS y (g))"
    )


def _member(catalog: str, name: str, *, acl: str, default: str, schema: str) -> str:
    """Return an SQL query for objects in ``catalog`` that belong to the server or to an extension, and whose grants were
    changed after the server or the extension was installed.

    The alias of ``catalog`` in the query is o. The other parameters are SQL expressions that use this alias.
    """
    kind = {"pg_class": "relation", "pg_proc": "function", "pg_namespace": "schema"}[catalog]
    given = grants(acl, f"coalesce(i.initprivs, {default})")
    return (
        f"SELECT y.name, pg_catalog.jsonb_build_object('grants', y.given) FROM (SELECT '{kind} ' || {name} AS name, {given} "
        f"AS given FROM pg_catalog.{catalog} o LEFT JOIN pg_catalog.pg_init_privs i ON i.objoid = o.oid "
        f"AND i.classoid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND i.objsubid = 0 WHERE {acl} IS NOT NULL "
        f"AND ({schema} IN ('pg_catalog', 'information_schema') OR NOT {no_member(catalog, 'o.oid')})) AS y "
        "WHERE y.given IS NOT NULL"
    )


_SCHEMA = "(SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = o.{})"
MEMBERS = " UNION ALL ".join(
    (
        _member(
            "pg_class",
            "o.oid::pg_catalog.regclass::text",
            acl="o.relacl",
            default="pg_catalog.acldefault(CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", o.relowner)",
            schema=_SCHEMA.format("relnamespace"),
        ),
        _member(
            "pg_proc",
            "o.oid::pg_catalog.regprocedure::text",
            acl="o.proacl",
            default="pg_catalog.acldefault('f', o.proowner)",
            schema=_SCHEMA.format("pronamespace"),
        ),
        _member(
            "pg_namespace",
            "pg_catalog.quote_ident(o.nspname)",
            acl="o.nspacl",
            default="pg_catalog.acldefault('n', o.nspowner)",
            schema="o.nspname",
        ),
    )
)
"""Query for the relations, functions and schemas that belong to the server or to extensions and whose grants were
changed.
"""
