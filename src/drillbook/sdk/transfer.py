"""Direct transfer of files between a host and a store. The controller signs URLs, and the host transfers the data.

If the host has a suitable ``python3``, ``carry.py`` does the work. Otherwise ``carry.sh`` does it with curl. Every upload
has its SHA-256 in a signed header, so that the store refuses damaged data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from drillbook.errors import CouldNotVerify, DrillbookError, HostError, NotReady, StepFailed
from drillbook.events.steps import TransferProgress
from drillbook.sdk import sent_program
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import Deadline, Host, Notes
from drillbook.sdk.store import Store

PART_LEAST = 5 << 20
"""Minimum size in bytes of each part of a multipart upload, except the last part. S3 requires it."""

BATCH = 256 << 20
"""Number of bytes that are transferred between two progress events."""

# Print the name of the program that transfers the files: `python3` or `curl`. Print nothing if the host has neither of them.
_WHICH = """
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null; then echo python3
elif command -v curl >/dev/null && command -v sha256sum >/dev/null; then echo curl
fi
"""

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"
"""Pattern for the names of files in a backup. A path with such a name cannot lead out of the folder."""


@dataclass(frozen=True, slots=True)
class File:
    """A file with its path relative to a folder. A file larger than one part has the digests of its ``parts``.

    For an encrypted file, ``plain`` describes the file before its encryption.
    """

    name: str
    size: int
    sha256: str
    parts: tuple[str, ...] = ()
    plain: File | None = None

    @property
    def content(self) -> File:
        """The file before its encryption. For a file that is not encrypted, it is the file itself."""
        return self.plain or self


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem with a file after a transfer. The file was missing or damaged, or its transfer failed (kind `error`).

    The finding has the code `backup-` followed by ``kind``. There is no finding for the kind `error`.
    """

    name: str
    kind: Literal["missing", "size", "digest", "error"]
    wanted: str
    measured: str


@dataclass(slots=True)
class Upload:
    """Upload to a store. Large files become visible only with ``commit``. ``discard`` removes all uploaded files."""

    store: Store
    prefix: str
    small: list[str] = field(default_factory=list)
    begun: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def commit(self) -> None:
        """Make the large files visible. Raises CouldNotVerify when the store fails."""
        for key, parts in self.done.items():
            self.store.complete(key, self.begun[key], parts)
            self.small.append(key)
            del self.begun[key]
        self.done.clear()

    def discard(self) -> None:
        """Remove all files and unfinished uploads, as far as the store permits."""
        for key, upload in self.begun.items():
            with suppress(DrillbookError):
                self.store.abort(key, upload)
        with suppress(DrillbookError):
            self.store.delete(self.small)


@dataclass(frozen=True, slots=True)
class Carrier:
    """Transfers files between a host and a store.

    It writes the lists of signed URLs to the folder ``scratch`` on the host.
    """

    host: Host
    deadline: Deadline
    scratch: str

    def survey(self, folder: str, part_size: int) -> list[File]:
        """List the files below ``folder`` on the host with their digests.

        The host computes the digests. Raises HostError when the host cannot be used.
        """
        surveyed = self._carry("survey", folder, str(part_size))
        return [File(file["name"], file["size"], file["sha256"], tuple(file["parts"])) for file in surveyed]

    def send(self, folder: str, surveyed: Sequence[File], upload: Upload, part_size: int) -> None:
        """Upload the files in ``surveyed`` from ``folder``. Raises StepFailed when the transfer fails, HostError when the
        host cannot be used, and CouldNotVerify when the store fails.

        After each of these errors, call ``discard``.
        """
        puts: list[dict[str, Any]] = []
        for file in surveyed:
            puts += self._parts(file, upload, part_size) if file.parts else [self._whole(file, upload)]
        answers = self._carry_all("send", folder, "puts", puts, [put["length"] for put in puts])
        wrong = [
            f"{put['name']}: {answer['problem']}" for put, answer in zip(puts, answers, strict=True) if "problem" in answer
        ]
        if wrong:
            raise StepFailed(f"{self.host.name}: {len(wrong)} of {len(puts)} uploads failed:" + "; ".join(wrong[:3]))
        for put, answer in zip(puts, answers, strict=True):
            key = f"{upload.prefix}/{put['name']}"
            if key in upload.begun:
                upload.done.setdefault(key, []).append((answer["etag"], put["sha256"]))

    def _whole(self, file: File, upload: Upload) -> dict[str, Any]:
        key = f"{upload.prefix}/{file.name}"
        upload.small.append(key)
        url = upload.store.sign_put(key, file.sha256, self.deadline.remaining())
        return {"name": file.name, "offset": 0, "length": file.size, "sha256": file.sha256, "url": url}

    def _parts(self, file: File, upload: Upload, part_size: int) -> list[dict[str, Any]]:
        key = f"{upload.prefix}/{file.name}"
        begun = upload.begun[key] = upload.store.begin(key)
        return [
            {
                "name": file.name,
                "offset": number * part_size,
                "length": min(part_size, file.size - number * part_size),
                "sha256": sha256,
                "url": upload.store.sign_part(key, begun, number + 1, sha256, self.deadline.remaining()),
            }
            for number, sha256 in enumerate(file.parts)
        ]

    def fetch(self, folder: str, wanted: Sequence[File], store: Store, prefix: str) -> list[Problem]:
        """Download the files in ``wanted`` to ``folder``, and compare their sizes and digests on the host. Returns the
        problems.

        Raises HostError when the host fails, and CouldNotVerify when its answer is invalid.
        """
        gets = [
            {
                "name": file.name,
                "size": file.size,
                "sha256": file.sha256,
                "url": store.sign_get(f"{prefix}/{file.name}", self.deadline.remaining()),
            }
            for file in wanted
        ]
        answers = self._carry_all("fetch", folder, "gets", gets, [file.size for file in wanted])
        return [_problem(file, answer) for file, answer in zip(wanted, answers, strict=True) if answer["problem"]]

    def _carry_all(
        self, mode: Literal["send", "fetch"], folder: str, key: str, rows: Sequence[dict[str, Any]], sizes: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Transfer the files in ``rows`` in batches, and record the progress after each batch."""
        what, done, total = {"send": "to the store", "fetch": "from the store"}[mode], 0, sum(sizes)
        answers: list[dict[str, Any]] = []
        self._note(what, 0, total)
        for start, end in _batches(sizes):
            answers += self._carry_plan(mode, folder, {key: list(rows[start:end])})
            done += sum(sizes[start:end])
            self._note(what, done, total)
        return answers

    def _note(self, what: str, done: int, total: int) -> None:
        if isinstance(self.host, Notes):
            self.host.note(TransferProgress(what=what, bytes=done, total=total))

    def _carry_plan(self, mode: str, folder: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"{self.scratch}/carry.{mode}"
        tool = self.tool()
        text = json.dumps(plan) if tool == "python3" else _lines(plan)
        self.host.put(text.encode(), path, mode=0o600)
        try:
            return self._carry(mode, folder, path, tool=tool)
        finally:
            with suppress(HostError):
                self.host.run(("rm", "-f", "--", path), deadline=Deadline.after(10))

    def _carry(self, mode: str, *arguments: str, tool: str = "") -> list[dict[str, Any]]:
        tool = tool or self.tool()
        program = files("drillbook.sdk").joinpath("carry.py" if tool == "python3" else "carry.sh").read_bytes().rstrip()
        argv = sent_program.python(program) if tool == "python3" else sent_program.shell(program)
        sink = Answer(f"{self.host.name}: the answer of the program that transfers files")
        self.host.run((*argv, mode, *arguments), deadline=self.deadline, stdin=program, sink=sink).check()
        answer: list[dict[str, Any]] = sink.json()
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise CouldNotVerify(f"{sink.what} cannot be parsed")
        return answer

    def tool(self) -> Literal["python3", "curl"]:
        """Return the program that transfers files on this host. Raises NotReady when the host has no such program."""
        name = self.host.run(("sh", "-c", _WHICH), deadline=self.deadline).text
        if name == "python3":
            return "python3"
        if name == "curl":
            return "curl"
        raise NotReady(
            f"{self.host.name} needs python3 (3.7 or later), or both curl and sha256sum",
            hint="install python3, or curl and sha256sum, because the host itself uploads and downloads backups",
        )


def _batches(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split ``sizes`` into batches of about ``BATCH`` bytes.

    Yields two indexes for each batch: the index of its first item, and the index of the first item after the batch.
    """
    start, filled = 0, 0
    for index, size in enumerate(sizes):
        if filled and filled + size > BATCH:
            yield start, index
            start, filled = index, 0
        filled += size
    yield start, len(sizes)


def _problem(file: File, answer: dict[str, str]) -> Problem:
    kind: Any = answer["problem"]
    wanted = {"size": f"{file.size} bytes", "digest": f"sha256 {file.sha256}"}.get(kind, "the object")
    return Problem(file.name, kind, wanted, answer["measured"])


def _lines(plan: dict[str, Any]) -> str:
    """Format a transfer plan for ``carry.sh``: one line of fields for each object."""
    rows = plan.get("puts") or plan.get("gets") or []
    text = []
    for row in rows:
        if not re.fullmatch(NAME, row["name"]):
            raise CouldNotVerify(f"{row['name']!r} is not a file name that curl can transfer")
        fields = (row["name"], row.get("offset", 0), row.get("length", row.get("size")), row["sha256"], row["url"])
        text.append(" ".join(map(str, fields)))
    return "".join(f"{line}\n" for line in text)
