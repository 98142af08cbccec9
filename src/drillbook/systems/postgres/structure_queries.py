"""Catalog queries for the structure of a database, one for each kind of object.

Each query returns the names of objects, quoted for SQL, and their properties as JSON without nulls. The search path is
empty, so that every name in a definition has a schema. Objects of extensions and of Drillbook's own schema are excluded.
Some properties exist only in newer versions of the server. To read such a property, the query converts the row of the
catalog to JSON, so that older servers accept the query too.
"""

from __future__ import annotations

from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.privileges import exploded as _exploded
from drillbook.systems.postgres.privileges import grants
from drillbook.systems.postgres.privileges import no_member as _no_member
from drillbook.systems.postgres.tables import TRIGGER

_USER = f"n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{OWN_SCHEMA}')"


def _grants(acl: str, kind: str, owner: str) -> str:
    return grants(acl, f"pg_catalog.acldefault('{kind}', {owner})")


def _properties(**named: str) -> str:
    pairs = ", ".join(f"'{name.strip('_').replace('_', ' ')}', {value}" for name, value in named.items())
    return f"pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object({pairs}))"


def _owner(column: str) -> str:
    return f"pg_catalog.pg_get_userbyid({column})::text"


def _comment(catalog: str, oid: str) -> str:
    return f"pg_catalog.obj_description({oid}, '{catalog}')"


def _words(value: str, **words: str) -> str:
    cases = " ".join(f"WHEN '{letter}' THEN '{word}'" for letter, word in words.items())
    return f"CASE {value} {cases} ELSE {value}::text END"


def _sorted(array: str, where: str = "true") -> str:
    elements = f"pg_catalog.unnest({array}) AS y (o) WHERE {where}"
    return f'(SELECT pg_catalog.jsonb_agg(o ORDER BY o COLLATE "C") FROM {elements})'


_RELATION = "pg_catalog.format('%I.%I', n.nspname, c.relname)"
_FROM_CLASS = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
_CLASS = f"{_USER} AND c.relpersistence <> 't' AND {_no_member('pg_class', 'c.oid')}"
_TABLESPACE = "(SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = {}.reltablespace)"
_STATE = {"O": "enabled", "D": "disabled", "R": "enabled on replicas", "A": "always enabled"}


def _on(name: str) -> str:
    return f"pg_catalog.format('%I on %I.%I', {name}, n.nspname, c.relname)"


def _query(name: str, properties: str, tables: str, where: str) -> str:
    return f"SELECT {name}, {properties} FROM {tables} WHERE {where}"


RELATION = _query(
    _RELATION,
    _properties(
        kind=_words(
            "c.relkind",
            r="table",
            p="partitioned table",
            v="view",
            m="materialized view",
            S="sequence",
            f="foreign table",
            c="composite type",
        ),
        persistence=_words("c.relpersistence", p="permanent", u="unlogged"),
        owner=_owner("c.relowner"),
        grants=f"CASE WHEN c.relkind = 'S' THEN {_grants('c.relacl', 's', 'c.relowner')} "
        f"ELSE {_grants('c.relacl', 'r', 'c.relowner')} END",
        comment=_comment("pg_class", "c.oid"),
        tablespace=_TABLESPACE.format("c"),
        access_method="(SELECT a.amname::text FROM pg_catalog.pg_am a WHERE a.oid = c.relam)",
        options=_sorted("c.reloptions"),
        toast_options="(SELECT pg_catalog.to_jsonb(t.reloptions) FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid)",
        row_security="c.relrowsecurity",
        forced_row_security="c.relforcerowsecurity",
        replica_identity=_words("c.relreplident", d="default", n="nothing", f="full", i="index"),
        replica_index="(SELECT i.indexrelid::pg_catalog.regclass::text FROM pg_catalog.pg_index i "
        "WHERE i.indrelid = c.oid AND i.indisreplident)",
        parents="(SELECT pg_catalog.jsonb_agg(i.inhparent::pg_catalog.regclass::text ORDER BY i.inhseqno) "
        "FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)",
        partition_key="CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END",
        partition_bound="pg_catalog.pg_get_expr(c.relpartbound, c.oid)",
        type="CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END",
        definition="CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END",
        populated="CASE WHEN c.relkind = 'm' THEN c.relispopulated END",
    ),
    _FROM_CLASS,
    f"c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND {_CLASS}",
)

# 15.20 servers store a version of each column in its options (`pg_attver`), which pg_dump leaves out too. Only partitions
# keep the order of their columns: a restore of other child tables puts inherited columns first.
COLUMN = _query(
    "pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname)",
    _properties(
        of=_RELATION,
        type="pg_catalog.format_type(a.atttypid, a.atttypmod)",
        position="CASE WHEN c.relispartition OR NOT EXISTS "
        "(SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) THEN "
        "pg_catalog.row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) END",
        not_null="CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' "
        "AND a.attnum = ANY (k.conkey) AND NOT k.convalidated) THEN 'not validated' "
        "WHEN a.attnotnull THEN 'yes' ELSE 'no' END",
        default="pg_catalog.pg_get_expr(d.adbin, d.adrelid)",
        generated="nullif(a.attgenerated::text, '')",
        identity="nullif(a.attidentity::text, '')",
        collation="CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END",
        storage="CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END",
        compression="nullif(pg_catalog.to_jsonb(a) ->> 'attcompression', '')",
        statistics="nullif(pg_catalog.to_jsonb(a) ->> 'attstattarget', '-1')",
        options=_sorted("a.attoptions", "o !~ '^pg_attver='"),
        grants=_grants("a.attacl", "c", "c.relowner"),
        comment="pg_catalog.col_description(c.oid, a.attnum)",
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum",
    f"c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_CLASS}",
)

# Foreign keys of partitions are excluded: the server creates them from those of the parent, and chooses their names.
_CONSTRAINT = {
    "definition": "pg_catalog.pg_get_constraintdef(k.oid)",
    "validated": "k.convalidated",
    "enforced": "nullif(pg_catalog.to_jsonb(k) ->> 'conenforced', 'true')",
    "comment": _comment("pg_constraint", "k.oid"),
}
CONSTRAINT = _query(
    _on("k.conname"),
    _properties(of=_RELATION, **_CONSTRAINT),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid",
    f"k.contype NOT IN ('n', 't') AND NOT (k.contype = 'f' AND k.conparentid <> 0) AND {_CLASS}",
)
DOMAIN_CONSTRAINT = _query(
    "pg_catalog.format('%I on %s', k.conname, pg_catalog.format_type(t.oid, NULL))",
    _properties(**_CONSTRAINT),
    "pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
    "JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid",
    f"k.contype <> 'n' AND {_USER} AND {_no_member('pg_type', 't.oid')}",
)

INDEX = _query(
    "pg_catalog.format('%I.%I', n.nspname, x.relname)",
    _properties(
        of=_RELATION,
        definition="pg_catalog.pg_get_indexdef(i.indexrelid)",
        valid="i.indisvalid",
        clustered="i.indisclustered",
        tablespace=_TABLESPACE.format("x"),
        attached_to="(SELECT h.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.oid)",
        statistics="(SELECT pg_catalog.jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_catalog.pg_attribute a "
        "WHERE a.attrelid = x.oid AND a.attstattarget >= 0)",
        comment=_comment("pg_class", "x.oid"),
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid",
    _CLASS,
)

TRIGGERS = _query(
    _on("g.tgname"),
    _properties(
        of=_RELATION,
        definition="pg_catalog.pg_get_triggerdef(g.oid)",
        state=_words("g.tgenabled", **_STATE),
        comment=_comment("pg_trigger", "g.oid"),
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid",
    f"NOT g.tgisinternal AND g.tgname <> '{TRIGGER}' AND {_CLASS}",
)

RULE = _query(
    _on("r.rulename"),
    _properties(
        of=_RELATION,
        definition="pg_catalog.pg_get_ruledef(r.oid)",
        state=_words("r.ev_enabled", **_STATE),
        comment=_comment("pg_rewrite", "r.oid"),
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid",
    f"r.rulename <> '_RETURN' AND {_CLASS}",
)

POLICY = _query(
    _on("p.polname"),
    _properties(
        of=_RELATION,
        command=_words("p.polcmd", r="SELECT", a="INSERT", w="UPDATE", d="DELETE", **{"*": "ALL"}),
        permissive="p.polpermissive",
        roles="(SELECT pg_catalog.jsonb_agg(w ORDER BY w COLLATE \"C\") FROM (SELECT CASE u WHEN 0 THEN 'PUBLIC' "
        "ELSE pg_catalog.pg_get_userbyid(u)::text END FROM pg_catalog.unnest(p.polroles) AS z (u)) AS y (w))",
        using="pg_catalog.pg_get_expr(p.polqual, p.polrelid)",
        check="pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)",
        comment=_comment("pg_policy", "p.oid"),
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid",
    _CLASS,
)

_AGGREGATE = (
    "(SELECT (pg_catalog.to_jsonb(a) - '{aggfnoid,aggsortop,aggtranstype,aggmtranstype}'::text[] || "
    "pg_catalog.jsonb_build_object('state', pg_catalog.format_type(a.aggtranstype, NULL), 'moving state', "
    "pg_catalog.format_type(a.aggmtranstype, NULL), 'sort', a.aggsortop::pg_catalog.regoperator::text))::text "
    "FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid)"
)
FUNCTION = _query(
    "p.oid::pg_catalog.regprocedure::text",
    _properties(
        definition=f"CASE WHEN p.prokind = 'a' THEN {_AGGREGATE} ELSE pg_catalog.pg_get_functiondef(p.oid) END",
        owner=_owner("p.proowner"),
        grants=_grants("p.proacl", "f", "p.proowner"),
        comment=_comment("pg_proc", "p.oid"),
    ),
    "pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace",
    f"{_USER} AND {_no_member('pg_proc', 'p.oid')}",
)

TYPE = _query(
    "pg_catalog.format_type(t.oid, NULL)",
    _properties(
        kind=_words("t.typtype", b="base", c="composite", d="domain", e="enum", r="range", m="multirange"),
        labels="(SELECT pg_catalog.jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e "
        "WHERE e.enumtypid = t.oid)",
        base="CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END",
        not_null="CASE WHEN t.typtype = 'd' THEN t.typnotnull END",
        default="t.typdefault",
        range="(SELECT pg_catalog.jsonb_build_array(pg_catalog.format_type(r.rngsubtype, NULL), r.rngcanonical::text, "
        "r.rngsubdiff::text, o.opcname::text) FROM pg_catalog.pg_range r JOIN pg_catalog.pg_opclass o ON o.oid = r.rngsubopc "
        "WHERE r.rngtypid = t.oid)",
        owner=_owner("t.typowner"),
        grants=_grants("t.typacl", "T", "t.typowner"),
        comment=_comment("pg_type", "t.oid"),
    ),
    "pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
    "LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid",
    f"(t.typrelid = 0 OR c.relkind = 'c') AND {_USER} AND {_no_member('pg_type', 't.oid')} AND t.typtype <> 'm' AND NOT EXISTS "
    "(SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)",
)

SEQUENCE = _query(
    _RELATION,
    _properties(
        of=_RELATION,
        type="pg_catalog.format_type(s.seqtypid, NULL)",
        start="s.seqstart::text",
        increment="s.seqincrement::text",
        minimum="s.seqmin::text",
        maximum="s.seqmax::text",
        cache="s.seqcache::text",
        cycle="s.seqcycle",
        owned_by="(SELECT pg_catalog.format('%s.%I', d.refobjid::pg_catalog.regclass, a.attname) FROM pg_catalog.pg_depend d "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
        "WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') "
        "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass LIMIT 1)",
    ),
    f"{_FROM_CLASS} JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid",
    _CLASS,
)

SCHEMA = _query(
    "pg_catalog.quote_ident(n.nspname)",
    _properties(
        owner=_owner("n.nspowner"),
        grants=_grants("n.nspacl", "n", "n.nspowner"),
        comment=_comment("pg_namespace", "n.oid"),
    ),
    "pg_catalog.pg_namespace n",
    f"{_USER} AND {_no_member('pg_namespace', 'n.oid')}",
)

EXTENSION = _query(
    "pg_catalog.quote_ident(e.extname)",
    _properties(version="e.extversion", schema="n.nspname::text", comment=_comment("pg_extension", "e.oid")),
    "pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace",
    "true",
)

PUBLICATION = _query(
    "pg_catalog.quote_ident(p.pubname)",
    _properties(
        owner=_owner("p.pubowner"),
        all_tables="p.puballtables",
        operations="pg_catalog.jsonb_build_array(p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate)",
        via_root="p.pubviaroot",
        tables="(SELECT pg_catalog.jsonb_object_agg(pg_catalog.format('%I.%I', v.schemaname, v.tablename), "
        "pg_catalog.jsonb_build_array(pg_catalog.to_jsonb(v) -> 'attnames', pg_catalog.to_jsonb(v) ->> 'rowfilter')) "
        "FROM pg_catalog.pg_publication_tables v WHERE v.pubname = p.pubname AND NOT p.puballtables)",
        comment=_comment("pg_publication", "p.oid"),
    ),
    "pg_catalog.pg_publication p",
    "true",
)

EVENT_TRIGGER = _query(
    "pg_catalog.quote_ident(e.evtname)",
    _properties(
        event="e.evtevent::text",
        function="e.evtfoid::pg_catalog.regprocedure::text",
        state=_words("e.evtenabled", **_STATE),
        tags=_sorted("e.evttags"),
        owner=_owner("e.evtowner"),
        comment=_comment("pg_event_trigger", "e.oid"),
    ),
    "pg_catalog.pg_event_trigger e",
    _no_member("pg_event_trigger", "e.oid"),
)

STATISTICS = _query(
    "pg_catalog.format('%I.%I', n.nspname, s.stxname)",
    _properties(
        definition="pg_catalog.pg_get_statisticsobjdef(s.oid)",
        owner=_owner("s.stxowner"),
        target="nullif(pg_catalog.to_jsonb(s) ->> 'stxstattarget', '-1')",
        comment=_comment("pg_statistic_ext", "s.oid"),
    ),
    "pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace",
    f"{_USER} AND {_no_member('pg_statistic_ext', 's.oid')}",
)

DEFAULT_PRIVILEGES = _query(
    "pg_catalog.format('of %I for %s%s', pg_catalog.pg_get_userbyid(d.defaclrole), "
    + _words("d.defaclobjtype", r="tables", S="sequences", f="functions", T="types", n="schemas", L="large objects")
    + ", coalesce(' in ' || n.nspname, ''))",
    _properties(
        grants=f'(SELECT pg_catalog.jsonb_agg(g ORDER BY g COLLATE "C") FROM ({_exploded("d.defaclacl")}) AS y (g))'
    ),
    "pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace",
    "true",
)

LARGE_OBJECT = _query(
    "l.oid::text",
    _properties(
        owner=_owner("l.lomowner"),
        grants=_grants("l.lomacl", "L", "l.lomowner"),
        comment=_comment("pg_largeobject", "l.oid"),
    ),
    "pg_catalog.pg_largeobject_metadata l",
    "true",
)

QUERIES = {
    "schema": SCHEMA,
    "extension": EXTENSION,
    "type": TYPE,
    "relation": RELATION,
    "column": COLUMN,
    "sequence": SEQUENCE,
    "constraint": CONSTRAINT,
    "domain constraint": DOMAIN_CONSTRAINT,
    "index": INDEX,
    "trigger": TRIGGERS,
    "rule": RULE,
    "policy": POLICY,
    "function": FUNCTION,
    "publication": PUBLICATION,
    "event trigger": EVENT_TRIGGER,
    "statistics": STATISTICS,
    "default privileges": DEFAULT_PRIVILEGES,
    "large object": LARGE_OBJECT,
}
"""Queries that read the definitions of all objects of one kind. The key of each entry is the kind."""
