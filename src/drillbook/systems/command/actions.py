"""Actions that run a command which a team wrote for itself: a command or script in a drill, or the health command of a service."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field

from drillbook.errors import PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Effect, Facts, Fault, Place, Read, Undo
from drillbook.sdk.custom_step import RESTORE, Free, declared_undo, ended_wrongly
from drillbook.sdk.host import Deadline, Output, as_user, printable, shown
from drillbook.sdk.service import handed
from drillbook.sdk.sudo_question import need_account
from drillbook.systems.command import preflight
from drillbook.systems.command.service import Command
from drillbook.systems.command.stages import Stages
from drillbook.values import SECRET_MARK, Handed, Secret

Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class Check(Read):
    """Run the health command of a service of kind `command`, as set in the inventory. The exit status 0 means healthy."""

    TIMEOUT = 30.0

    service: Annotated[str, Field(description="Name of a service of kind `command` in the inventory.")]

    def programs(self, ctx: Context) -> tuple[str, ...]:
        """Return the program of the health command."""
        return preflight.programs(None, ctx.service(self.service, Command).check)

    def commands(self, ctx: Context) -> tuple[tuple[str, ...], ...]:
        """Return the health command, so that the caller checks whether sudo permits this command. The result is empty if the
        service has a `run_as`, because `ready` then makes the same check for the account `run_as`.
        """
        service = ctx.service(self.service, Command)
        return () if service.run_as else (service.check,)

    def ready(self, ctx: Context) -> None:
        """Check that the host has the program, and lets this account run the program as the service's user `run_as`."""
        service = ctx.service(self.service, Command)
        preflight.need(ctx, {"`check` of the service in the inventory": self.programs(ctx)})
        need_account(ctx, service.run_as, service.check)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``exit`` (the exit status), ``stdout`` and ``stderr`` (their last 4,000 characters, in printable form)."""
        service = ctx.service(self.service, Command)
        argv = as_user(service.run_as, service.check)
        output = ctx.run(*argv)
        facts: Facts = {"exit": output.exit, "stdout": _text(output.stdout), "stderr": _text(output.stderr)}
        if output.exit != 0:
            ended = f"signal {output.signal}" if output.signal else f"status {output.exit}"
            said = printable(facts["stderr"] or facts["stdout"], limit=300)
            raise StepFailed(
                f"{self.service} is not healthy: `{shown(service.check)}` ended with {ended}\n{said}".rstrip(),
                facts=facts,
                findings=[
                    finding("service-state", title=self.service, wanted="status 0", measured=f"{ended} {said}".rstrip())
                ],
            )
        return facts


def _text(data: bytes) -> str:
    return printable(data).rstrip("\n")


class Run(Free, Fault):
    """Run a command without a shell. The drill declares its effect.

    For a fault, the drill also declares an undo, and a command `proof` that shows whether the fault is active.

    To use a shell, write `argv: [sh, -c, "...", sh]`. Add the values of expressions to this list as further arguments. The
    shell text refers to these values as `$1`, `$2` and so on.
    """

    PLACE = Place.HOSTS
    SECRETS = frozenset({"env", "stdin"})
    UNDO = (
        "commands",
        "restore",
        "nothing",
    )
    UNDO_BY = "undo"

    argv: Annotated[Argv, Field(description="Program and its arguments.")]
    effect_: Effect = Field(alias="effect", description="Effect of the command: read, write or fault.")
    undo_: Argv | Literal["restore"] | None = Field(
        default=None,
        alias="undo",
        description=(
            "Command that undoes the change. It must be safe to run twice, and its program must exist before the drill "
            "begins. The value `restore` means that only a restore can undo the fault."
        ),
    )
    proof: Argv | None = Field(
        default=None,
        description=(
            "Command that verifies a fault. It is required with `effect: fault`. It must exit with status 0 "
            "while the fault is active, and with 1 when the fault is gone."
        ),
    )
    proven_by: Annotated[
        str | None,
        Field(
            min_length=1,
            description=(
                "Step of the phase `backup` that verifies the backup, given by its `save` name or its id. Used "
                "only with `undo: restore`."
            ),
        ),
    ] = None
    exit: Annotated[tuple[int, ...], Field(description="Exit statuses that count as success.")] = (0,)
    env: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Variables to add to the environment of the command. They are never shown in a process list. A "
                "secret must be the whole value, such as `{{ services.cache.password }}`."
            )
        ),
    ] = Field(default_factory=dict)
    cwd: Annotated[str | None, Field(description="Working directory of the command.")] = None
    stdin: Annotated[
        Handed, Field(description="Standard input of the command: a text, or a secret that is written as in `env`.")
    ] = ""
    keep: Annotated[
        bool, Field(description=("Store the whole standard output, however long, as an evidence file of the run."))
    ] = False

    @property
    def restore_only(self) -> bool:
        """True when the drill declares `undo: restore`, which means that no command can undo the fault."""
        return bool(self.if_known("undo_") == RESTORE)

    def _started(self) -> dict[str, tuple[str, ...]]:
        """Return the programs of the step's commands. The key of each entry is the name of the field that contains the
        command. A program is left out if its path is not known yet.
        """
        commands = {"argv": self.if_known("argv"), "undo": self.if_known("undo_"), "proof": self.if_known("proof")}
        folder, path = self.if_known("cwd"), "PATH" in self.if_known("env", {})
        return {
            field: preflight.programs(folder, argv[:1] if path else argv, anywhere=self.known("cwd"))
            for field, argv in commands.items()
            if isinstance(argv, tuple)
        }

    def programs(self, ctx: Context) -> tuple[str, ...]:
        """Return the programs of the command, of its undo and of its proof."""
        return tuple(chain.from_iterable(self._started().values()))

    @classmethod
    def lists_commands(cls, params: Mapping[str, Any]) -> bool:
        """Return False for a step that sets `cwd` or `env`, because its command is then started through a shell."""
        return not params.get("cwd") and not params.get("env")

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command and its `proof` command, as sudo sees them.

        If the step sets `cwd` or `env`, return nothing. sudo then sees a shell that starts the command.
        """
        return () if self.cwd or self.env else tuple(command for command in (self.argv, self.proof) if command)

    def ready(self, ctx: Context) -> None:
        """Check that the host has the working directory, and the programs of the command, of its undo and of its proof."""
        preflight.need(ctx, self._started())
        preflight.need_folder(ctx, self.if_known("cwd"))

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``effect`` (as the drill declares it), ``exit`` (the exit status), ``stdout`` and ``stderr`` (their last
        4,000 characters, in printable form).

        When `keep` is on, there is also the fact ``evidence``: the file with the whole standard output.
        """
        said = handed(self.stdin, ctx.services)
        options: dict[str, Any] = {
            "env": self._env(ctx),
            "cwd": self.cwd,
            "stdin": (said if isinstance(said, str) else said.reveal()).encode(),
        }
        output, kept = self._ended(ctx, options)
        facts: Facts = {
            "exit": output.exit,
            "stdout": _text(output.stdout),
            "stderr": _text(output.stderr),
            "effect": str(self.effect),
            **kept,
        }
        if output.exit not in self.exit:
            raise ended_wrongly(ctx, self.argv, output, facts, wanted=self.exit)
        return facts

    def _env(self, ctx: Context) -> dict[str, str | Secret]:
        return {name: handed(value, ctx.services) for name, value in self.env.items()}

    def _ended(self, ctx: Context, options: dict[str, Any]) -> tuple[Output, Facts]:
        """Run the command and return its output.

        When `keep` is on, also return the fact `evidence`: the file with the whole standard output.
        """
        if not self.keep:
            return ctx.run(*self.argv, **options), {}
        with ctx.evidence_stream("stdout") as (writer, kept):
            output = ctx.run(*self.argv, sink=writer, **options)
        return output, {"evidence": kept}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that runs the drill's `undo` command in the folder and environment of the step.

        If the drill sets `undo: restore`, only a restore undoes the fault. If the drill sets no `undo`, the undo changes
        nothing.
        """
        if self.undo_ is None:
            return Undo.nothing("the drill declares no undo for this command")
        if isinstance(self.undo_, str):
            return Undo.by_restore("the drill declares that only a restore can undo the fault")
        there: Argv = ("sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", self.cwd) if self.cwd else ()
        if any(value.startswith(SECRET_MARK) for value in self.env.values()):
            raise PlanError(
                "a secret cannot be stored on the target for the undo",
                hint="let the `undo` command itself read the secret on the target",
            )
        values = tuple(f"{key}={value}" for key, value in self.env.items())
        return Undo.by_commands((*there, *(("env", *values) if values else ()), *self.undo_))

    def active(self, ctx: Context) -> bool | None:
        """Run the drill's `proof` command. Return True if its exit status is 0, because the fault is then active.

        Return False if the exit status is 1, because the fault is then gone. Return None for any other exit status, and when
        the drill has no `proof` command.
        """
        if self.proof is None:
            return None
        deadline = Deadline.after(10.0, ctx.deadline.cancel)
        ended = ctx.host.run(self.proof, deadline=deadline, env=self._env(ctx), cwd=self.cwd).exit
        return {0: True, 1: False}.get(ended) if ended is not None else None


class Script(Free):
    """Run a script of the team, such as its runbook for a restore, and record the digest of the file that ran.

    A line `::stage NAME` on standard output begins a stage. The facts contain the duration of each stage. The script must
    exist on the step's host. Set `restores` when the script is the restore after a fault that has no other undo.
    """

    PLACE = Place.HOSTS
    CODE = "path"
    TIMEOUT = 3600.0
    SECRETS = frozenset({"env"})
    UNDO = ("commands", "nothing")
    UNDO_BY = "undo"

    path: Annotated[str, Field(pattern=r"^/", description="Absolute path of the script on the host.")]
    effect_: Literal["read", "write"] = Field(alias="effect", description="Effect of the script: read or write.")
    arguments: Annotated[tuple[str, ...], Field(description="Arguments of the script.")] = ()
    interpreter: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "Program and arguments that run the script, such as `[bash, -e]`. By default the script itself is executed."
            )
        ),
    ] = ()
    sha256: Annotated[
        str,
        Field(
            pattern=r"^([0-9a-f]{64})?$",
            description=(
                "Expected SHA-256 of the script, in hexadecimal digits. If the script has another SHA-256, it is "
                "not run, and the step fails."
            ),
        ),
    ] = ""
    exit: Annotated[tuple[int, ...], Field(description="Exit statuses that count as success.")] = (0,)
    env: Annotated[
        dict[str, Handed], Field(description="Variables to add to the environment of the script, as in `command.run`.")
    ] = Field(default_factory=dict)
    cwd: Annotated[str | None, Field(description="Working directory of the script.")] = None
    undo_: Annotated[
        Argv | None,
        Field(
            alias="undo",
            description=(
                "Command that undoes the change. It must be safe to run it twice, and its program must exist before the drill "
                "begins."
            ),
        ),
    ] = None

    def programs(self, ctx: Context) -> tuple[str, ...]:
        """Return the programs that the fields `interpreter` and `undo` start, if the drill sets these fields."""
        return tuple(chain.from_iterable(self._started().values()))

    def _started(self) -> dict[str, tuple[str, ...]]:
        """Return the programs that the fields `interpreter` and `undo` start. The key of each entry is the name of the
        field. A field whose value is not known yet is left out.
        """
        commands = {"interpreter": self.if_known("interpreter"), "undo": self.if_known("undo_")}
        return {field: preflight.programs(None, argv) for field, argv in commands.items() if argv}

    @classmethod
    def lists_commands(cls, params: Mapping[str, Any]) -> bool:
        """Return False for a step that sets `cwd` or `env`, because its command is then started through a shell."""
        return not params.get("cwd") and not params.get("env")

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command that runs the script, as sudo sees it.

        If the step sets `cwd` or `env`, return nothing. sudo then sees a shell that starts the script.
        """
        return () if self.cwd or self.env else ((*self.interpreter, self.path, *self.arguments),)

    def ready(self, ctx: Context) -> None:
        """Check that the script can be read, and that the working directory exists. Without an `interpreter`, the script must
        also be executable, and the host must have the programs in the first line of the script.
        """
        preflight.need(ctx, self._started())
        if self.known("path"):
            preflight.need_script(ctx, self.path)
        if self.known("path") and self.known("interpreter") and not self.interpreter:
            preflight.need_executable(ctx, self.path)
        preflight.need_folder(ctx, self.if_known("cwd"))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``effect`` (as the drill declares it), ``exit`` (the exit status), ``sha256`` of the script, ``stages`` (name
        and seconds of each), ``stdout``, ``stderr``, ``evidence``.
        """
        before = self._digest(ctx)
        if self.sha256 and before != self.sha256:
            raise StepFailed(
                f"{ctx.host.name}: {self.path} is not the expected script; it was not run",
                findings=[
                    finding("step-failed", title=self.path, measured=f"sha256 {before}", wanted=f"sha256 {self.sha256}")
                ],
            )
        argv = (*self.interpreter, self.path, *self.arguments)
        with ctx.evidence_stream("stdout") as (writer, kept):
            stages = Stages(writer)
            env = {name: handed(value, ctx.services) for name, value in self.env.items()}
            output = ctx.run(*argv, env=env, cwd=self.cwd, sink=stages)
        facts: Facts = {"effect": str(self.effect), "exit": output.exit, "sha256": before, "stages": stages.measured()}
        facts |= {"stdout": stages.tail, "stderr": _text(output.stderr), "evidence": kept}
        if output.exit not in self.exit:
            raise ended_wrongly(ctx, argv, output, facts, wanted=self.exit)
        if self._digest(ctx) != before:
            raise StepFailed(
                f"{ctx.host.name}: {self.path} was changed while it ran: nobody can tell which script ran", facts=facts
            )
        return facts

    def _digest(self, ctx: Context) -> str:
        return ctx.run("sha256sum", "--", self.path).check().text.lstrip("\\").split(" ")[0]

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that runs the drill's `undo` command, if there is one."""
        return declared_undo(self.undo_, "script")
