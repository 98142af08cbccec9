"""Interleaved pairs: the plain pipeline, and the same backup by a drill, both to the object store of one lab."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from bench.overhead import measuring
from bench.overhead.measuring import Steps, drilled, interleaved
from bench.transfers.methods import Method, Site

from drillbook.lab import control
from drillbook.lab.layout import ADDRESS, BUCKETS, REGION

DRILL = """\
drill: transfer
title: A backup alone
service: data
objectives: {{}}
backup:
  - {action}: {{service: data, {step}, to: "s3://{bucket}/{{{{ run.id }}}}/data"}}
    timeout: 1h
    save: taken
verify:
  - {system}.backup_intact: {{service: data, from: "{{{{ taken.location }}}}"}}
    timeout: 1h
"""
INVENTORY = """\
environment: lab
hosts:
  source:
    address: {address}
    port: {ssh}
    user: {user}
    identity: {folder}/id
    known_hosts: {folder}/known_hosts
    scratch: {scratch}
    lease: {{boot: none}}
services:
  data: {{host: source, {service}}}
  backups:
    kind: s3
    host: source
    endpoint: {endpoint}
    bucket: {bucket}
    region: {region}
    access_key: !file {folder}/secrets/s3_key
    secret_key: !file {folder}/secrets/s3_secret
"""


def project(site: Site, method: Method) -> Path:
    """Make a project with the drill, and an inventory of the lab's host that has the data."""
    place, known = site.root / f"project-{method.name}", site.lab.values()
    shutil.rmtree(place, ignore_errors=True)
    for name in ("drills", "inventory"):
        (place / name).mkdir(parents=True)
    words = {
        "PORT": known["postgres.db-1"],
        "DATA": known["data.db-1"],
        "ROOT": site.root,
        "SECRETS": site.lab.folder / "secrets",
    }
    service, step = (
        re.sub(r"\b(PORT|DATA|ROOT|SECRETS)\b", lambda found: str(words[found[0]]), text)
        for text in (method.service, method.step)
    )
    inventory = INVENTORY.format(
        address=ADDRESS,
        ssh=known[f"ssh.{method.host}"],
        user=known["user"],
        folder=site.lab.folder,
        scratch=known[f"scratch.{method.host}"],
        service=service,
        endpoint=site.lab.s3,
        bucket=BUCKETS[0],
        region=REGION,
    )
    (place / "inventory" / "lab.yml").write_text(inventory)
    system, _, _ = method.name.partition(".")
    drill = DRILL.format(action=method.name, step=step, bucket=BUCKETS[0], system=system)
    (place / "drills" / "transfer.yml").write_text(drill)
    return place


def emptied(client: Any) -> None:
    """Remove all objects from the bucket of the backups."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKETS[0]):
        for one in page.get("Contents", []):
            client.delete_object(Bucket=BUCKETS[0], Key=one["Key"])


def bare(method: Method, site: Site, found: Steps) -> None:
    """Run the plain pipeline, and add its time."""
    measuring.bare(partial(method.bare, site), site.root / "bare", shutil.rmtree, found)
    emptied(site.client())


def drill(method: Method, site: Site, place: Path, found: Steps) -> None:
    """Run the drill, and add the times of its step."""
    found.add(drilled(place, method.name, "transfer"))
    emptied(site.client())


def measure(method: Method, root: Path, megabytes: int, count: int, stop: float) -> Steps:
    """Measure pairs in a new lab; no pair begins after ``stop`` on the monotonic clock."""
    folder = root / "lab"
    try:
        site = Site(control.up(folder), root)
        method.make(site, megabytes)
        place = project(site, method)
        return interleaved(
            partial(Steps, method.name, method.tool),
            partial(bare, method, site),
            partial(drill, method, site, place),
            count,
            stop,
        )
    finally:
        control.down(folder)
