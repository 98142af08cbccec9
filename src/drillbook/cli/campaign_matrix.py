"""Generates CI jobs that run a campaign, for teams without Dask. There is one job for each site, and the waves follow
one another. A last job collects the runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from drillbook.campaign.artefacts import ATTEMPT_VARIABLE, NEEDS_VARIABLE, PIPELINE_VARIABLE
from drillbook.campaign.scheduler import waves
from drillbook.campaign.sites import SitesFile
from drillbook.errors import UsageError

CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"
PYTHON = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065"
UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02"
DOWNLOAD = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093"
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q --require-hashes -r requirements.txt"
GITHUB_RUN = {
    PIPELINE_VARIABLE: "github ${{ github.repository }} run ${{ github.run_id }}",
    ATTEMPT_VARIABLE: "${{ github.run_attempt }}",
}
ARTEFACT = {"name": "site-${{ matrix.site }}", "path": "reports/", "if-no-files-found": "error"}
MOST = {"github": 256, "gitlab": 200}
"""Maximum number of jobs in one matrix. The key of each entry is the CI service."""


def rendered(kind: str, drill: str, file: SitesFile, sites: str, confirm: str = "") -> str:
    """Return the CI jobs as YAML text. ``kind``: the CI service, `github` or `gitlab`. ``sites``: name of the sites file.

    Raises UsageError when ``kind`` names another service, and when the sites file has a limit that CI jobs cannot obey.
    """
    if kind not in MOST:
        raise UsageError(f"--matrix {kind!r} is not a known CI service", hint="write --matrix github or --matrix gitlab")
    if limited := sorted(name for name, group in file.groups.items() if group.at_most):
        raise UsageError(
            f"CI jobs cannot obey the limit `at_most` of a group: {', '.join(limited)}",
            hint="remove the limit of the group, or run the campaign with --on; CI jobs obey only the `at_most` of all sites",
        )
    parts = list(_parts(file, MOST[kind]))
    command = f".venv/bin/drillbook campaign {shlex.quote(drill)} --sites {shlex.quote(sites)}"
    if confirm:
        command += f" --confirm {shlex.quote(confirm)}"
    collect = f".venv/bin/drillbook campaign.collect {shlex.quote(drill)} --sites {shlex.quote(sites)} --artefacts artefacts"
    made = (
        _github(parts, file.at_most, command, collect)
        if kind == "github"
        else _gitlab(parts, file.at_most, command, collect)
    )
    head = f"# Jobs of the campaign {drill} over {len(file.sites)} sites; made by `drillbook campaign --matrix {kind}`.\n"
    return head + yaml.safe_dump(made, sort_keys=False, width=140, allow_unicode=True)


def _parts(file: SitesFile, most: int) -> Iterator[list[str]]:
    """Divide each wave into lists of at most ``most`` sites, so that a list fits into one matrix."""
    for wave in waves(file.rules(), file.scheduled()):
        for start in range(0, len(wave), most):
            yield wave[start : start + most]


def _github(parts: list[list[str]], at_most: int, command: str, collect: str) -> dict[str, Any]:
    start: list[dict[str, Any]] = [
        {"uses": CHECKOUT, "with": {"persist-credentials": False}},
        {"uses": PYTHON, "with": {"python-version": "3.12"}},
        {"run": INSTALL},
    ]
    jobs: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        jobs[f"wave-{number}"] = {
            **({"needs": f"wave-{number - 1}"} if number > 1 else {}),
            "runs-on": ["self-hosted", "linux"],
            "env": {"DRILLBOOK_OPERATOR": "github run ${{ github.run_id }}", "SITE": "${{ matrix.site }}"},
            "strategy": {"fail-fast": False, "max-parallel": at_most, "matrix": {"site": part}},
            "steps": [
                *start,
                {"run": f'{command} --only "$SITE"'},
                {"uses": UPLOAD, "if": "always()", "with": ARTEFACT},
            ],
        }
    jobs["collect"] = {
        "needs": list(jobs),
        "if": "always()",
        "runs-on": ["self-hosted", "linux"],
        "steps": [
            *start,
            {"uses": DOWNLOAD, "with": {"path": "artefacts", "pattern": "site-*"}},
            {"run": collect, "env": {NEEDS_VARIABLE: "${{ toJSON(needs) }}"}},
            {"uses": UPLOAD, "if": "always()", "with": {"name": "campaign", "path": "reports/"}},
        ],
    }
    return {
        "name": "campaign",
        "on": {"workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "concurrency": "drills",
        "env": GITHUB_RUN,
        "jobs": jobs,
    }


def _gitlab(parts: list[list[str]], at_most: int, command: str, collect: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "stages": [*(f"wave-{number}" for number in range(1, len(parts) + 1)), "collect"],
        "variables": {PIPELINE_VARIABLE: "gitlab $CI_PROJECT_PATH pipeline $CI_PIPELINE_ID"},
    }
    for number, part in enumerate(parts, 1):
        made[f"wave-{number}"] = {
            "stage": f"wave-{number}",
            "tags": ["drills"],
            "resource_group": "drills-$SLOT",
            "variables": {"DRILLBOOK_OPERATOR": "gitlab pipeline $CI_PIPELINE_ID"},
            "parallel": {"matrix": [{"SITE": [site], "SLOT": [str(place % at_most)]} for place, site in enumerate(part)]},
            "script": [
                INSTALL,
                f'{command} --only "$SITE"',
            ],
            "after_script": ['mkdir -p "artefacts/$SITE" && mv reports "artefacts/$SITE/"'],
            "artifacts": {"when": "always", "paths": ["artefacts/"]},
        }
    made["collect"] = {
        "stage": "collect",
        "when": "always",
        "tags": ["drills"],
        "script": [INSTALL, collect],
        "artifacts": {"when": "always", "paths": ["reports/"]},
    }
    return made
