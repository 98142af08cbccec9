"""Finds the services that a plan or a diagnosis uses. If it is uncertain whether a service is used, the service is
included.

A run reads only the secrets of these services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from drillbook.diagnosis import scope
from drillbook.diagnosis.tree import Tree
from drillbook.inventory.inventory import Inventory
from drillbook.language import template
from drillbook.plan.limits import PlannedGuard
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.sdk import discovery
from drillbook.sdk.service import S3, kind_of

_BUCKET = re.compile(r"s3://([^/]+)")


def of_plan(plan: Plan) -> frozenset[str]:
    """Return the services that the steps, probes, conditions and diagnoses of ``plan`` name.

    The result also contains the services on which these services depend.
    """
    looking = [condition.step or condition.probe for condition in plan.guard.conditions]
    texts = [
        text
        for step in (*plan.steps, *(condition.step for condition in plan.guard.conditions if condition.step))
        for text in (step.when, *step.expect)
        if text
    ]
    used = _named([planned.params for planned in (*plan.steps, *plan.probes, *looking) if planned], texts, plan.inventory)
    examined = {str(step.params.get("service", "")) for step in plan.steps} if plan.diagnosis else set()
    around = {
        other
        for name in examined & plan.inventory.services.keys()
        if not plan.inventory.services[name].missing
        for other in scope.around(plan.inventory.services, name)
    }
    trees = of_trees(plan.diagnosis, plan.inventory, around)
    return _whole({plan.service} | used | trees, plan.inventory)


def of_trees(trees: Iterable[Tree], inventory: Inventory, names: Iterable[str]) -> frozenset[str]:
    """Return the services of ``inventory`` that are used to diagnose the services in ``names``. Services that the checks of
    ``trees`` name are also included.
    """
    checks = [check for tree in trees for check in tree.checks]
    used = _named([check.params for check in checks], [check.words.when for check in checks if check.words.when], inventory)
    return _whole({*names, *used}, inventory)


def _named(params: Sequence[Any], bare: Iterable[str], inventory: Inventory) -> set[str]:
    """Return the services to which the parameters ``params`` or the expressions ``bare`` refer. A service may be referred
    to by its name, its kind or its bucket.

    Expressions in ``params`` are written with braces, and expressions in ``bare`` without braces.
    """
    texts = list(template.texts(params))
    references = [reference for text in texts if template.is_template(text) for reference in template.references(text)]
    references += [reference for text in bare for reference in template.references(text, bare=True)]
    buckets = {match[1] for text in texts if (match := _BUCKET.match(text))}
    kinds = {reference[1] for reference in references if reference[0] == "the" and len(reference) > 1}
    words = set(texts) | {reference[1] for reference in references if reference[0] == "services" and len(reference) > 1}
    if any(reference in (("services",), ("the",)) for reference in references):
        return set(inventory.services)
    return {
        name
        for name, service in inventory.services.items()
        if name in words or kind_of(service) in kinds or (isinstance(service, S3) and service.bucket in buckets)
    }


def _whole(names: Iterable[str], inventory: Inventory) -> frozenset[str]:
    """Return the services in ``names``, and all services on which they depend. If a relay is among them, the result also
    contains the service to which it leads.
    """
    reached = [name for name in names if name in inventory.services]
    for name in reached:
        service = inventory.services[name]
        reached += [
            other for other in (*service.needed, service.leads_to) if other in inventory.services and other not in reached
        ]
    return frozenset(reached)


def plugins(
    steps: Iterable[PlannedStep], probes: Iterable[PlannedProbe], guard: PlannedGuard, inventory: Inventory
) -> dict[str, str]:
    """Return the plugins that provide steps, probes, conditions or kinds of services of the plan, each with its version."""
    watched = [condition.step or condition.probe for condition in guard.conditions]
    names = [step.action if isinstance(step, PlannedStep) else step.name for step in (*steps, *probes, *watched) if step]
    return discovery.plugins(names, map(kind_of, inventory.services.values()))
