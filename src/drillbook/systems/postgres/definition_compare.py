"""Compares a database with a backup: structure, materialized views, schema text and cluster state, but not rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import masked_text, stored_backup
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import cluster_state, differences, masking, materialized_views, schema, structure
from drillbook.systems.postgres.cluster_state import ClusterState
from drillbook.systems.postgres.content import Relation, Snapshot
from drillbook.systems.postgres.differences import Difference, Objects
from drillbook.systems.postgres.dump import SCHEMA
from drillbook.systems.postgres.keyed_digests import Sealing
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.structure import Structure

Record = TypeVar("Record", Structure, ClusterState)
THE_STRUCTURE, THE_CLUSTER = "the structure", "the cluster"


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured structure and cluster state. A part is measured only if the backup contains a record of this part."""

    objects: Objects | None
    views: materialized_views.Compared
    cluster: ClusterState | None
    versions: Mapping[str, str] = field(default_factory=dict)
    """Default versions of the installed extensions on this server. The key of each entry is the name of an extension."""


@dataclass(slots=True)
class Judged:
    """Result of the comparison: findings, facts, and the parts that were not compared, each with a reason."""

    findings: list[Finding] = field(default_factory=list)
    facts: Facts = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    views: frozenset[str] = frozenset()
    """Names of the materialized views whose content the backup records."""


@dataclass(frozen=True, slots=True)
class Rungs:
    """Comparison of ``service`` with the records of the ``backup`` in ``folder``, in several steps."""

    ctx: Context
    service: Postgres
    store: Store
    folder: Reference
    backup: Manifest
    structure: Structure | None
    cluster: ClusterState | None
    copy: bool
    why_no_cluster: str = ""

    @classmethod
    def of(cls, ctx: Context, service: Postgres, store: Store, folder: Reference, *, cluster: bool | None) -> Self:
        """Read the records of the database's structure and of the cluster state from the backup.

        ``cluster``: true to compare the cluster states, false not to compare them. If it is None, they are compared only if
        the server is the server that was backed up. Raises StepFailed when a record is damaged. Raises CouldNotVerify when
        ``cluster`` is true but the backup contains no cluster state.
        """
        backup = Manifest.read(store, folder)
        copy = not (ctx.same_service(backup.service, service.name) and backup.host == service.host)
        why = cluster_state.NOT_RECORDED if cluster_state.FILE not in backup.files else ""
        if cluster and why:
            raise CouldNotVerify(f"the cluster of {service.name} cannot be compared: {why}", hint="take a new backup")
        if cluster is False:
            why = "`cluster: false`"
        elif cluster is None and copy:
            why = cluster_state.DIFFERENT_PLACE
        known = None if why else _record(store, folder, backup, cluster_state.FILE, ClusterState)
        recorded = None
        if structure.FILE in backup.files:
            recorded = _record(store, folder, backup, structure.FILE, Structure)
        return cls(ctx, service, store, folder, backup, recorded, known, copy, why)

    def text(self) -> str:
        """Return the present schema of the database as text.

        Raises CouldNotVerify when pg_dump fails, and HostError when the host cannot be used.
        """
        return schema.dumped(Tools.of(self.ctx, self.service))

    def measured(self, snap: Snapshot, relations: list[Relation], scope: Collection[str]) -> Measured:
        """Measure the properties that the backup records. Raises psycopg.Error when a query fails, and HostError when the
        host cannot be used.

        ``scope``: names of the tables and views whose rows are compared.
        """
        state = None
        if self.cluster:
            state = cluster_state.recorded(self.ctx, self.service, Sealing(self.cluster.salt))
        if self.structure is None:
            return Measured(None, materialized_views.Compared(), state)
        objects = structure.objects(snap.owner, Sealing(self.structure.salt))
        out = {relation.name for relation in relations} - set(scope)
        wanted = {name: view for name, view in self.structure.views.items() if name not in out}
        views = materialized_views.compared(snap, wanted, relations, out)
        return Measured(objects, views, state, structure.versions(snap.owner))

    def judged(self, measured: Measured, text: str, accept: Mapping[str, str], *, limited: bool) -> Judged:
        """Compare the measured properties and the schema ``text`` with the backup.

        ``accept``: patterns of expected differences. When ``limited`` is true, the rows in tables of extensions are not
        compared.
        """
        result = Judged(
            findings=list(measured.views.findings),
            not_compared=dict(measured.views.not_compared),
            views=frozenset(self.structure.views if self.structure else ()),
        )
        if self.structure and measured.objects:
            self._judge_structure(self.structure, measured, text, _Report(accept, result), limited=limited)
        else:
            result.not_compared[THE_STRUCTURE] = "the backup contains the structure only as text"
            result.findings += self._text_finding(self._changed_text(text))
        if self.cluster and measured.cluster:
            self._judge_cluster(self.cluster, measured.cluster, _Report(accept, result))
        else:
            result.not_compared[THE_CLUSTER] = self.why_no_cluster
        if result.accepted:
            result.facts["accepted"] = result.accepted
        return result

    def _judge_structure(
        self, recorded: Structure, measured: Measured, text: str, report: _Report, *, limited: bool
    ) -> None:
        present = measured.objects or {}
        wanted = structure.expected(recorded.objects, present, limited=limited)
        differ, newer = [], {}
        for difference in differences.between(wanted, present):
            if structure.is_newer_default(difference, measured.versions):
                newer[difference.object] = (
                    f"has version {difference.measured}, and had version {difference.wanted} in the backup; this is no "
                    "difference, because a restored dump gets the server's default version"
                )
            else:
                differ.append(difference)
        rest = schema.rest(text)
        if differ or rest != recorded.rest:
            evidence = self._changed_text(text)
            if differ:
                evidence += (self._kept("structure.txt", differences.listed(differ)),)
            report.add(differ, structure.code, evidence)
            if rest != recorded.rest:
                changed = self._kept("schema-rest.diff", schema.difference(recorded.rest, rest))
                report.result.findings += self._text_finding((changed,))
        if made := measured.views.recomputed | newer:
            report.result.facts["recomputed"] = made
        report.result.facts["structure"] = {kind: len(objects) for kind, objects in wanted.items() if objects}
        report.result.not_compared[THE_STRUCTURE] = structure.NOT_COVERED

    def _judge_cluster(self, recorded: ClusterState, state: ClusterState, report: _Report) -> None:
        wanted, now = cluster_state.comparable(recorded, state, copy=self.copy)
        if differ := list(differences.between(wanted, now)):
            report.add(differ, cluster_state.code, (self._kept("cluster.txt", differences.listed(differ)),))
        report.result.facts["cluster"] = {kind: len(objects) for kind, objects in wanted.items()}
        report.result.not_compared |= recorded.unreadable | state.unreadable
        report.result.not_compared[THE_CLUSTER] = cluster_state.NOT_COVERED

    def _changed_text(self, dump: str) -> tuple[str, ...]:
        """Compare the two schemas as text. Return evidence files that show the differences. Return no file if the texts are
        equal.
        """
        text = schema.normalised(dump)
        wanted = self.backup.schema_sha256
        if stored_backup.sha256(text.encode()) == wanted:
            return ()
        try:
            kept = stored_backup.document(self.store, self.folder, self.backup, SCHEMA)
        except StepFailed:
            return (self._kept("schema.sql", masked_text.shown(text)),)
        if (
            before := masking.masked(kept.decode())
        ) == text:  # the backup was made by an older version, which did not mask passwords
            return ()
        return (self._kept("schema.diff", schema.difference(before, text)),)

    def _text_finding(self, evidence: tuple[str, ...]) -> list[Finding]:
        if not evidence:
            return []
        wanted, measured = "the schema of the backup", "a different schema: see the evidence"
        return [
            finding("schema-differs", title=self.backup.database.name, wanted=wanted, measured=measured, evidence=evidence)
        ]

    def _kept(self, name: str, text: str) -> str:
        return str(self.ctx.evidence(name, text)["file"])


@dataclass(frozen=True, slots=True)
class _Report:
    """Collector of differences. Differences become findings unless they are accepted."""

    accept: Mapping[str, str]
    result: Judged

    def add(self, differ: Sequence[Difference], code: Callable[[Difference], str], evidence: tuple[str, ...]) -> None:
        """Add a finding for each difference that is not accepted.

        Accepted differences are listed in the facts, each with the reason.
        """
        reasons = {difference.label: difference.accepted_by(self.accept) for difference in differ}
        self.result.accepted |= {label: why for label, why in reasons.items() if why}
        wrong = [difference for difference in differ if not reasons[difference.label]]
        self.result.findings += differences.findings(wrong, code, evidence)


def _record(store: Store, folder: Reference, backup: Manifest, name: str, kind: type[Record]) -> Record:
    """Read the record ``name`` of a backup. Raises StepFailed when its digest is not the digest in the manifest."""
    return kind.model_validate_json(stored_backup.document(store, folder, backup, name))
