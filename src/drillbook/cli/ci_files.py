"""Generates the CI files of a new project for GitHub and GitLab. They run a suite or a drill on a schedule. CI installs Drillbook
from a URL that the user names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from drillbook import __version__
from drillbook.errors import UsageError
from drillbook.installation import extras

FILES = {
    ".github/workflows/drills.yml": "github.yml",
    ".gitlab-ci.yml": "gitlab-ci.yml",
    "requirements.in": "requirements.in",
}
"""CI files of a project. The key of each entry is the path of the file, and the value is the name of its template."""
EXAMPLE = f"https://packages.example.com/drillbook-{__version__}-py3-none-any.whl"
_SOURCE = re.compile(r"(https://|git\+https://|git\+ssh://|file://)\S+")
_INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q --require-hashes -r requirements.txt"


@dataclass(frozen=True, slots=True)
class Job:
    """Job of a project in the CI service. The job runs the drill or suite ``name`` on the inventory ``inventory``."""

    name: str
    inventory: str
    lab: bool
    """True when the job runs the embedded lab on a machine of the CI service. False when the job needs the team's own CI
    runner, because this runner can reach the hosts.
    """


def contents(job: Job, source: str = "") -> dict[str, str]:
    """Return the content of each CI file. The key of each content is the path of the file.

    ``source``: URL of a wheel or repository from which CI installs Drillbook. By default, it is the URL from which this
    program was installed. Raises UsageError when ``source`` is not a URL.
    """
    source = source or _own_source()
    if source and not _SOURCE.fullmatch(source):
        raise UsageError(
            f"--source must be the URL of a wheel or of a repository, not {source!r}", hint=f"such as {EXAMPLE}"
        )
    values = {"NAME": job.name, "INVENTORY": job.inventory, **_places(job), "LINE": _requirement(job, source)}
    folder = files("drillbook.cli").joinpath("templates")
    return {path: _filled(folder.joinpath(template).read_text(encoding="utf-8"), values) for path, template in FILES.items()}


def _own_source() -> str:
    """Return the URL from which this program was installed. The result is empty if other machines cannot use this
    source, for example a local folder.
    """
    installation = extras.current()
    return installation.source if installation.source.startswith(("https://", "git+")) and not installation.editable else ""


def _requirement(job: Job, source: str) -> str:
    name = "drillbook[lab]" if job.lab else "drillbook"
    return f"{name} @ {source}" if source else f"#{name} @ {EXAMPLE}"


def _places(job: Job) -> dict[str, str]:
    """Return the text for each placeholder in the templates of the CI files. The placeholders are ``@RUNNER@``,
    ``@IMAGE@`` and ``@RUN@``. The keys of the result are their names without ``@``. The texts depend on ``job``.

    When the job runs the embedded lab, its commands on GitLab do not run as root, because PostgreSQL refuses to run as
    root.
    """
    drill = f".venv/bin/drillbook drill {job.name} --inventory {job.inventory} --assume no"
    if not job.lab:
        return {
            "RUNNER": "[self-hosted, linux]            # a machine of yours: with Python, the SSH key, and known_hosts",
            "IMAGE": "tags: [drills]                              # a runner of yours that reaches the hosts, with its SSH key",
            "RUN": f"- {_INSTALL}\n    - {drill}",
        }
    lines = [
        "useradd --create-home drill && chown -R drill .",
        *(f"su drill -c '{command}'" for command in (_INSTALL, drill)),
    ]
    return {
        "RUNNER": "ubuntu-24.04",
        "IMAGE": "image: python:3.12.8-bookworm",
        "RUN": "\n    ".join(f"- {line}" for line in lines),
    }


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)
