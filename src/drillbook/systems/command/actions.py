"""Any command, with its effect and its undo declared in the drill."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from drillbook.errors import NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Effect, Facts, Fault, Place, Undo
from drillbook.sdk.free import RESTORE, Free
from drillbook.sdk.host import Deadline, Output, printable, shown
from drillbook.sdk.service import handed
from drillbook.values import SECRET_MARK, Handed, Secret

Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class Run(Free, Fault):
    """Run a command without a shell. Its effect is declared; one that breaks declares its undo and its proof as well.

    For a shell write `argv: [sh, -c, "..."]`; values from expressions belong in further arguments, as `$1`.
    """

    PLACE = Place.HOSTS
    SECRETS = frozenset({"env", "stdin"})
    UNDO = (
        "commands",
        "restore",
        "nothing",
    )

    argv: Annotated[Argv, Field(description="The program and its arguments.")]
    effect_: Effect = Field(alias="effect", description="What it does: read, write or fault.")
    undo_: Argv | Literal["restore"] | None = Field(
        default=None,
        alias="undo",
        description=("Command that puts it back; safe to run twice. `restore`: a fault that only a restore mends."),
    )
    proof: Argv | None = Field(
        default=None, description=("fault, required: ends with 0 while the fault is active, with 1 when gone.")
    )
    proven_by: Annotated[
        str | None,
        Field(
            min_length=1, description=("With `undo: restore`: `save` or id of the step of `backup` that proves the backup.")
        ),
    ] = None
    exit: Annotated[tuple[int, ...], Field(description="Exit statuses that are good.")] = (0,)
    env: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Added to its environment; never shown in a process list. A secret is handed over as such: "
                "`{{ services.cache.password }}` and nothing else."
            )
        ),
    ] = Field(default_factory=dict)
    cwd: Annotated[str | None, Field(description="Folder that it runs in.")] = None
    stdin: Annotated[Handed, Field(description="What it reads: text, or a secret, as in `env`.")] = ""
    keep: Annotated[bool, Field(description="Stream standard output, of any length, into a file of the run.")] = False

    @property
    def restore_only(self) -> bool:
        """As declared."""
        return self.__dict__.get("undo_") == RESTORE

    def ready(self, ctx: Context) -> None:
        """The program must be there."""
        if self.known("argv"):
            found = ctx.run("sh", "-c", 'command -v -- "$1" >/dev/null', "sh", self.argv[0])
            if found.exit != 0:
                raise NotReady(
                    f"{ctx.host.name}: the program {self.argv[0]!r} is not there", hint="install it, or correct `argv`"
                )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``exit``, ``stdout`` and ``stderr`` (printable, the last 4,000 characters), ``evidence`` with `keep`."""
        said = handed(self.stdin, ctx.services)
        options: dict[str, Any] = {
            "env": self._env(ctx),
            "cwd": self.cwd,
            "stdin": (said if isinstance(said, str) else said.reveal()).encode(),
        }
        output, kept = self._ended(ctx, options)
        facts: Facts = {
            "exit": output.exit,
            "stdout": printable(output.stdout).rstrip("\n"),
            "stderr": printable(output.stderr).rstrip("\n"),
            **kept,
        }
        if output.exit not in self.exit:
            how = f"signal {output.signal}" if output.signal else f"status {output.exit}"
            raise StepFailed(
                f"{ctx.host.name}: `{shown(self.argv)}` ended with {how}\n{facts['stderr'][-1000:]}".rstrip(),
                facts=facts,
                findings=[
                    finding(
                        "step-failed",
                        title=shown(self.argv, limit=80),
                        measured=how,
                        wanted=f"status {', '.join(map(str, self.exit))}",
                    )
                ],
            )
        return facts

    def _env(self, ctx: Context) -> dict[str, str | Secret]:
        return {name: handed(value, ctx.services) for name, value in self.env.items()}

    def _ended(self, ctx: Context, options: dict[str, Any]) -> tuple[Output, Facts]:
        """Run it; the facts name the evidence file when the output is kept."""
        if not self.keep:
            return ctx.run(*self.argv, **options), {}
        with ctx.evidence_stream("stdout") as (writer, kept):
            output = ctx.run(*self.argv, sink=writer, **options)
        return output, {"evidence": kept}

    def undo(self, ctx: Context) -> Undo:
        """The declared command, in the same folder and environment, or the drill's restore."""
        if self.undo_ is None:
            return Undo.nothing("the drill declares no undo for this command")
        if isinstance(self.undo_, str):
            return Undo.by_restore("the drill says that only a restore brings it back")
        there: Argv = ("sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", self.cwd) if self.cwd else ()
        if any(value.startswith(SECRET_MARK) for value in self.env.values()):
            raise PlanError("a secret cannot be kept on the target for the undo", hint="let `undo` read it there by itself")
        values = tuple(f"{key}={value}" for key, value in self.env.items())
        return Undo.by_commands((*there, *(("env", *values) if values else ()), *self.undo_))

    def active(self, ctx: Context) -> bool | None:
        """Ask ``proof``: 0 is active, 1 is gone; any other end, or no proof, tells nothing."""
        if self.proof is None:
            return None
        deadline = Deadline.after(10.0, ctx.deadline.cancel)
        ended = ctx.host.run(self.proof, deadline=deadline, env=self._env(ctx), cwd=self.cwd).exit
        return {0: True, 1: False}.get(ended) if ended is not None else None
