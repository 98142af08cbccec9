"""Runs pgbackrest on a host, and converts its messages to errors.

All options are passed as environment variables. These override the configuration file, and no value is visible in the list
of processes. A command ignores options that it does not know. Source: pgBackRest's user guide, "Command Line &
Environment".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from drillbook.errors import CouldNotVerify, DrillbookError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import Deadline, Host, Output, as_user, printable
from drillbook.sdk.isolation import MARK
from drillbook.values import Secret

# PROGRAM...: export the input lines NAME=VALUE up to an empty line; the rest is the standard input of PROGRAM.
_RUN = """
umask 077
while IFS= read -r line && test -n "$line"; do export "${line?}"; done
exec "$@"
"""
QUIET: Mapping[str, str] = {
    "log-level-console": "off",
    "log-level-stderr": "warn",
    "log-level-file": "off",
    "log-timestamp": "n",
}
"""Options of every command. They make pgbackrest write no log file, and print its messages to standard error."""
_DAMAGED = re.compile(r"\[0(26|28|29)\]|\b(Format|Checksum|FileInvalid|JsonFormat)Error\b")
_MISSING = re.compile(r"unable to open missing file '[^']*/(backup|archive)/")
_KEY = re.compile(r"\[095\]|\bCryptoError\b")
"""Pattern of error messages that a wrong encryption key causes. The pattern matches the number or the name of the error.

Source: the file error.yaml of pgBackRest.
"""


@dataclass(frozen=True, slots=True)
class Program:
    """Runner of pgbackrest on one host, for one stanza of one repository."""

    name: str
    """Name of the backup source, for messages."""
    host: Host
    deadline: Deadline
    options: Mapping[str, str | Secret]
    run_as: str = ""
    sandbox: str = ""
    """Folder of the sandbox for which the programs run. The processes of these programs are killed when the sandbox is
    removed. The value is empty when the programs run without a sandbox.
    """

    def run(
        self, *argv: str, stdin: str = "", sink: BinaryIO | None = None, options: Mapping[str, str] | None = None
    ) -> Output:
        """Run a program with pgbackrest's options and ``options`` in its environment.

        Raises HostError when the host cannot be used, and Cancelled when the run is stopped.
        """
        named = {**QUIET, **self.options, **(options or {})}
        lines = [f"{variable(name)}={_text(value)}\n" for name, value in named.items()]
        lines += [f"{MARK}={self.sandbox}\n"] if self.sandbox else []
        return self.host.run(
            as_user(self.run_as, ("sh", "-c", _RUN, "sh", *argv)),
            deadline=self.deadline,
            stdin="".join([*lines, "\n", stdin]).encode(),
            sink=sink,
        )

    def answer(self, command: str, *argv: str, options: Mapping[str, str] | None = None) -> Answer:
        """Return the output of a pgbackrest command.

        Raises StepFailed or CouldNotVerify when it fails, and HostError when the host cannot be used.
        """
        sink = Answer(f"{self.host.name}: the answer of pgbackrest {command}")
        output = self.run("pgbackrest", command, *argv, sink=sink, options=options)
        if not output.ok:
            raise self.failed(command, output.stderr or sink.getvalue())
        return sink

    def failed(self, command: str, said: str | bytes, *, wrong_key: bool = False) -> DrillbookError:
        """Return the error for a command that failed with the message ``said``.

        ``wrong_key``: true when the caller has found that the pass phrase of the repository is wrong.
        """
        text = said if isinstance(said, str) else said.decode("utf-8", "backslashreplace")
        said = message(text)
        what = f"{self.host.name}: pgbackrest {command} of {self.name}: {said}"
        if wrong_key or _KEY.search(text):
            problem = finding("backup-key-lost", title=self.name, wanted="the pass phrase of the repository", measured=said)
            return StepFailed(what, findings=[problem])
        for code, signs in (("backup-damaged", _DAMAGED), ("backup-missing", _MISSING)):
            if signs.search(text):
                problem = finding(code, title=self.name, wanted="files that can be read", measured=said)
                return StepFailed(what, findings=[problem])
        return CouldNotVerify(
            what, hint="run the command by hand as the same user; then correct `run_as`, `config` or `options` of the source"
        )


def variable(option: str) -> str:
    """Return the name of the environment variable that sets an option of pgbackrest."""
    return f"PGBACKREST_{option.upper().replace('-', '_')}"


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def message(text: str | bytes) -> str:
    """Return the first error line of pgbackrest's messages, without the prefix `P00 ERROR:`."""
    for line in printable(text, limit=4000).splitlines():
        if line.strip() and " WARN:" not in line:
            return re.sub(r"^(P\d\d +)?ERROR: ", "", line.strip())[:300]
    return "it gave no message"
