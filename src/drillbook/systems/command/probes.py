"""Probe `command.canary`: a canary that writes and reads its records by commands on a host."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.errors import CommandLost, CommandTimedOut, CouldNotVerify, HostError, NotReady
from drillbook.language import placeholders
from drillbook.sdk import record_canary
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import Deadline, Output, as_user, excerpt, printable, shown
from drillbook.sdk.probe import CanaryWriter, Lost
from drillbook.sdk.record_canary import Every, RecordCanary, Timeout
from drillbook.sdk.service import handed
from drillbook.sdk.sudo_question import need_account
from drillbook.values import Duration, Handed, Secret

Argv = Annotated[tuple[str, ...], Field(min_length=1)]
NOT_STARTED = (126, 127)
"""Exit statuses that mean that a command could not be started."""


class Canary(RecordCanary):
    """Write numbered records by a command on a host. Each acknowledged record must exist after the recovery.

    In the arguments, `${record}` stands for the mark of a record, which is a unique text. `${number}` stands for the
    number of the record, and `${run}` for the id of the run. To use a shell, write `[sh, -c, "...", sh, "${record}"]`.
    The shell then knows the mark as `$1`.
    """

    SECRETS = frozenset({"env"})

    host: Annotated[str, Field(min_length=1, description="Name in the inventory of the host on which the commands run.")]
    write: Annotated[
        Argv,
        Field(
            description=(
                "Program and arguments that store `${record}`. The exit status 0 means that the record is stored for good."
            )
        ),
    ]
    read: Annotated[
        Argv,
        Field(
            description=(
                "Program and arguments that print the marks of all stored records of the run. If they contain "
                "`${record}` or `${number}`, the command runs once for each record, and prints the mark of that "
                "record."
            )
        ),
    ]
    remove: Annotated[
        Argv,
        Field(
            description=(
                "Program and arguments that remove all records of the run. If they contain `${record}` or "
                "`${number}`, the command runs once for each record. It must be safe to run the command twice."
            )
        ),
    ]
    absent: Annotated[
        tuple[int, ...], Field(description="Exit statuses by which `read` reports that a record does not exist.")
    ] = ()
    run_as: Annotated[str, Field(description="User as whom the commands run, by `sudo -n -u`. Empty: the SSH user.")] = ""
    env: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Variables to add to the environment of the commands. A secret must be the whole value, such as "
                "`{{ services.cache.password }}`."
            )
        ),
    ] = Field(default_factory=dict)
    every: Every = Duration(0.2)
    timeout: Timeout = Duration(2.0)

    @model_validator(mode="after")
    def _names(self) -> Self:
        for what in ("write", "read", "remove"):
            record_canary.check_names(getattr(self, what), what)
        if not record_canary.of_one(self.write):
            raise ValueError("`write` contains neither ${record} nor ${number}, so it would store the same record each time")
        return self

    @property
    def reads_each(self) -> bool:
        """True when the command `read` runs once for each record. False when it runs once for all records."""
        return record_canary.of_one(self.read)

    @property
    def erases_each(self) -> bool:
        """True when the command `remove` runs once for each record. False when it runs once for all records."""
        return record_canary.of_one(self.remove)

    def there(self, ctx: Context) -> Context:
        """Return a context for the host on which the commands run."""
        return replace(ctx, host=ctx.host_named(self.host))

    def run(self, ctx: Context, argv: Argv, number: int | None, limit: float, **options: object) -> Output:
        """Run ``argv`` (`write`, `read` or `remove`) for at most ``limit`` seconds. Raises HostError when the host fails."""
        given = record_canary.values(ctx.run_id, number)
        words = [placeholders.text(word, given) for word in argv]
        env: dict[str, str | Secret] = {name: handed(value, ctx.services) for name, value in self.env.items()}
        deadline = Deadline.after(min(limit, ctx.deadline.remaining()), ctx.deadline.cancel)
        return ctx.host_named(self.host).run(as_user(self.run_as, words), deadline=deadline, env=env, **options)  # type: ignore[arg-type]

    def reach(self, ctx: Context) -> None:
        """Check that the host has the programs of `write`, `read` and `remove`, and that this account has the right to run
        these commands as `run_as`.

        Raises NotReady when a program or a right is missing, and HostError when the host cannot be used.
        """
        there = self.there(ctx)
        for what in ("write", "read", "remove"):
            program = getattr(self, what)[0]
            if there.missing(program):
                raise NotReady(
                    f"{self.host}: the program {program!r} is not installed",
                    hint=f"install the program, or correct `{what}` of {self.name()}",
                )
            given = record_canary.values(ctx.run_id, 0)
            need_account(there, self.run_as, [placeholders.text(word, given) for word in getattr(self, what)])

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer that runs the command once for each record."""
        return _Writer(self, ctx)

    def look(self, ctx: Context, number: int | None) -> set[int]:
        """Run the command `read`. Return the numbers of the records whose marks the command prints. Raises
        CouldNotVerify when the command fails.
        """
        said = Answer(f"the output of `{shown(self.read, limit=80)}`")
        output = self._checked(ctx, self.read, number, (0, *self.absent), sink=said)
        if output.exit != 0:
            return set()
        numbers = record_canary.numbers_in(said.text, ctx.run_id)
        return numbers if number is None else numbers & {number}

    def erase(self, ctx: Context, number: int | None) -> None:
        """Run the command `remove`. Raises CouldNotVerify when the command fails."""
        self._checked(ctx, self.remove, number, (0,))

    def _checked(self, ctx: Context, argv: Argv, number: int | None, good: tuple[int, ...], **options: object) -> Output:
        limit = ctx.deadline.remaining()
        try:
            output = self.run(ctx, argv, number, limit, **options)
        except HostError as error:
            raise CouldNotVerify(f"{self.host}: `{shown(argv, limit=80)}`: {error.message}") from error
        if output.exit not in good:
            raise CouldNotVerify(f"{self.host}: `{shown(argv, limit=80)}` ended with {_ended(output)}")
        return output


def _ended(output: Output) -> str:
    how = f"signal {output.signal}" if output.signal else f"status {output.exit}"
    return f"{how}: {excerpt(output.stderr or output.stdout, limit=200)}".rstrip(": \n")


class _Writer(CanaryWriter):
    """Writer that runs a command for each record."""

    def __init__(self, canary: Canary, ctx: Context) -> None:
        self._canary, self._ctx = canary, ctx

    def write(self, number: int) -> Lost | None:
        """Run the command and wait for its exit status."""
        canary = self._canary
        try:
            output = canary.run(self._ctx, canary.write, number, float(canary.timeout))
        except (CommandLost, CommandTimedOut) as error:
            return Lost(printable(error.message, limit=200), doubt=True)
        except HostError as error:
            return Lost(printable(error.message, limit=200), doubt=False)
        return None if output.ok else Lost(_ended(output), doubt=output.exit not in NOT_STARTED)
