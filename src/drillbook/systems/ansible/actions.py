"""Action `ansible.playbook`, which runs a team's own playbook, and measures the whole playbook and each of its tasks."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.sdk.custom_step import Free, declared_undo, ended_wrongly
from drillbook.sdk.service import handed
from drillbook.systems.ansible import task_results
from drillbook.values import Handed, Secret

PROGRAM = "ansible-playbook"
VARIABLES = "vars.json"
_RUN = """\
folder=$1; shift
umask 077
mkdir -p -- "$folder" && cat >"$folder/vars.json" || exit 250
"$@"
status=$?
rm -f -- "$folder/vars.json"
exit "$status"
"""
_REPORT = 'cat -- "$1"/*.xml; rm -rf -- "$1"'
SETTINGS = {
    "ANSIBLE_CALLBACKS_ENABLED": "junit",
    "ANSIBLE_NOCOLOR": "1",
    "JUNIT_HIDE_TASK_ARGUMENTS": "true",
    "PYTHONUNBUFFERED": "1",
}
"""Environment variables for Ansible. They request a report of the tasks and plain output. The report omits the arguments of
the tasks, since these may be secret.
"""
FAILURES = {
    1: "an error in the playbook or its files",
    2: "tasks failed",
    4: "hosts were unreachable",
    250: "an unexpected error",
}
"""Meaning of the exit statuses of ansible-playbook. Source: Ansible's code, ``TaskQueueManager.RUN_*`` and
``lib/ansible/cli``.
"""


class Playbook(Free, Write):
    """Run an Ansible playbook, such as the team's own restore. The duration of each of its tasks is measured.

    The playbook runs on the host that the step names, mostly `hosts: controller`, with the Ansible that is installed there.
    Set `restores` when the playbook is the restore after a fault that only a restore can undo. Such a playbook must be safe
    to run twice.
    """

    PLACE = Place.HOSTS
    CODE = "playbook"
    TIMEOUT = 3600.0
    SECRETS = frozenset({"env", "variables"})
    UNDO = ("commands", "nothing")
    UNDO_BY = "undo"

    playbook: Annotated[str, Field(min_length=1, description="Path of the playbook on the host that runs it.")]
    effect_: Literal["write"] = Field(
        alias="effect", description="Effect of the playbook; the only allowed value is `write`."
    )
    inventory: Annotated[
        tuple[str, ...],
        Field(
            description="Inventories for Ansible: paths, or lists of hosts such as `db-1,`. By default Ansible "
            "uses its own configured inventory."
        ),
    ] = ()
    limit: Annotated[str, Field(description="Pattern of host names. The playbook runs only on hosts that match it.")] = ""
    tags: Annotated[tuple[str, ...], Field(description="Run only tasks that have one of these tags.")] = ()
    skip_tags: Annotated[tuple[str, ...], Field(description="Skip tasks that have one of these tags.")] = ()
    variables: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Extra variables for the playbook (`--extra-vars`). They never appear in a process list. A "
                "secret must be a whole value: `{{ services.cache.password }}` and nothing else."
            )
        ),
    ] = Field(default_factory=dict)
    env: Annotated[
        dict[str, Handed],
        Field(
            description="Variables to add to the environment of Ansible. They are written in the same way as `variables`."
        ),
    ] = Field(default_factory=dict)
    cwd: Annotated[
        str | None, Field(description="Working directory of Ansible. Ansible also looks there for `ansible.cfg`.")
    ] = None
    arguments: Annotated[tuple[str, ...], Field(description="Further arguments of ansible-playbook.")] = ()
    undo_: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        alias="undo",
        description="Command that undoes the changes of the playbook. The command must be safe to run twice.",
    )

    def programs(self, ctx: Context) -> tuple[str, ...]:
        """Return the name of the Ansible program that the step runs."""
        return (PROGRAM,)

    def ready(self, ctx: Context) -> None:
        """Check that Ansible is installed on the host, and that the playbook can be read. The syntax is not checked."""
        if ctx.missing(PROGRAM):
            raise NotReady(
                f"{ctx.host.name}: the program {PROGRAM!r} is not installed",
                hint="install ansible-core on this host, or name another host in the step",
            )
        if self.known("playbook") and not ctx.run("test", "-r", self._path()).ok:
            raise NotReady(
                f"{ctx.host.name}: the playbook {self._path()} cannot be read", hint="correct `playbook` or `cwd`"
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``effect`` (always `write`), ``exit`` (exit status), ``evidence`` (file with the whole output).

        Also ``tasks`` (number of tasks), ``hosts`` (for each host, the numbers of tasks that were ok, skipped and failed),
        ``slowest`` and ``failed`` (the slowest tasks, and the first failed tasks). When the report of the tasks cannot be
        read, ``tasks`` is null, and ``unread`` is the reason.
        """
        folder = f"{ctx.scratch}/ansible-{ctx.step}"
        argv = self._argv(folder)
        with ctx.evidence_stream("playbook") as (writer, kept):
            output = ctx.run(
                *("sh", "-c", _RUN, "sh", folder, *argv),
                env=self._env(ctx) | {"JUNIT_OUTPUT_DIR": folder},
                cwd=self.cwd,
                stdin=json.dumps(self._revealed(ctx)).encode(),
                sink=writer,
            )
        facts: Facts = {"effect": str(self.effect), "exit": output.exit, "evidence": kept, **self._tasks(ctx, folder)}
        if output.exit != 0:
            failed = "; ".join(f"{failure['task']} on {failure['host']}" for failure in facts.get("failed", ()))
            why = FAILURES.get(output.exit or 0, "see the output") + (f": {failed}" if failed else "")
            raise ended_wrongly(ctx, argv, output, facts, wanted=(0,), why=why)
        return facts

    def _tasks(self, ctx: Context, folder: str) -> Facts:
        """Return facts about the playbook's tasks, from a report that Ansible wrote. If the report cannot be read, the fact
        ``tasks`` is None, and ``unread`` is the reason. This happens, for example, after an error before the first task.
        """
        report = ctx.run("sh", "-c", _REPORT, "sh", folder)
        if not report.complete:
            return {"tasks": None, "unread": f"the report of the tasks is too large: {report.stdout_bytes} bytes"}
        try:
            return task_results.facts(task_results.parse(report.stdout))
        except CouldNotVerify as error:
            return {"tasks": None, "unread": error.message}

    def _argv(self, folder: str) -> tuple[str, ...]:
        options: list[str] = [word for source in self.inventory for word in ("--inventory", source)]
        options += ["--limit", self.limit] if self.limit else []
        options += [word for tag in self.tags for word in ("--tags", tag)]
        options += [word for tag in self.skip_tags for word in ("--skip-tags", tag)]
        options += ["--extra-vars", f"@{folder}/{VARIABLES}"] if self.variables else []
        return (PROGRAM, *options, *self.arguments, "--", self.playbook)

    def _path(self) -> str:
        return self.playbook if self.playbook.startswith("/") or not self.cwd else f"{self.cwd}/{self.playbook}"

    def _env(self, ctx: Context) -> dict[str, str | Secret]:
        return SETTINGS | {name: handed(value, ctx.services) for name, value in self.env.items()}

    def _revealed(self, ctx: Context) -> dict[str, str]:
        values = {name: handed(value, ctx.services) for name, value in self.variables.items()}
        return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that runs the step's `undo` command, if there is one."""
        return declared_undo(self.undo_, "playbook")
