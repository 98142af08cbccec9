"""Actions that compare restored files with the service's own files, or with recorded digests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs, stored_backup
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.backup_source import parsed_moment
from drillbook.sdk.host import as_user, printable
from drillbook.sdk.service import is_sandbox
from drillbook.systems.files import compare, content
from drillbook.systems.files.manifest import Entry
from drillbook.systems.files.service import Folder

GRAIN_S = 1.0
"""Resolution of file times in seconds. The recorded time of a change can be too early by at most this time."""
Property = Literal["mode", "owner", "time", "xattr"]


def _moment(text: str) -> str:
    if parsed_moment(text) is None:
        raise ValueError(f"{text!r} is not a time in ISO 8601; use the fact `taken_at` of the backup")
    return text


FolderName = Annotated[
    str, Field(description="Service of kind `folder` that contains the restored files. It is usually a sandbox.")
]
Below = Annotated[
    str,
    Field(
        pattern=r"^([^/\x00\n][^\x00\n]*)?$",
        description=(
            "Path of the restored files, relative to the folder of `service`. If it is not set, the step first looks for "
            "the full path of the original folder inside the folder of `service`, as restic restores it. If this path does "
            "not exist, the step uses the whole folder of `service`."
        ),
    ),
]


class Compare(Read):
    """Compare restored files with the service's own files: content, type, permissions, owner, links, attributes and times.

    Original files that changed since the backup are counted, but not compared. If no file can be compared, the step does
    not pass.
    """

    SERVICE = Folder
    TIMEOUT = 1800.0

    service: FolderName
    original: Annotated[str, Field(description="Service of kind `folder` whose files were backed up.")]
    taken_at: Annotated[
        str, AfterValidator(_moment), Field(description="Time of the backup, such as `{{ restored.backup.taken_at }}`.")
    ]
    below: Below = ""
    exclude: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "Shell patterns. Paths in the folder that match one of them are not in the backup. The character `*` "
                "also matches `/`."
            )
        ),
    ] = ()
    ignore: Annotated[tuple[Property, ...], Field(description="Names of properties that are not compared.")] = ()

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True. The content is always compared."""
        return True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``compared``, ``bytes``, ``changed_since``, ``removed_since``, ``ignored``, ``seconds``.

        ``compared`` is the number of compared files, and ``bytes`` is their size. ``changed_since`` and ``removed_since``
        are the numbers of entries that were changed or removed after `taken_at`. They can be wrong if
        `taken_at` is from a clock that differs from the clock of the original's host. ``ignored`` lists the properties that
        were not compared.
        """
        begun = ctx.deadline.remaining()
        path, copied, whole = self._copy(ctx)
        origin = ctx.service(self.original, Folder)
        there = content.survey(
            replace(ctx, host=ctx.host_named(origin.host)), origin.path, as_user(origin.run_as, ()), changes=True
        )
        if there.entries is None:
            raise CouldNotVerify(f"{origin.host}: the original {origin.path} does not exist")
        wanted, changed = self._kept(there.entries), self._changed(there.changed)
        still = {name: entry for name, entry in wanted.items() if name not in changed and (name != "." or whole)}
        extra = copied.keys() - wanted.keys()
        removed = {name for name in extra if _folder_of(name, wanted) in changed}
        files = [entry for entry in still.values() if entry.type == "file"]
        facts: Facts = {
            "path": path,
            "compared": len(files),
            "bytes": sum(entry.size or 0 for entry in files),
            "changed_since": len(changed & wanted.keys()),
            "removed_since": len(removed),
            "ignored": list(self.ignore),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        self._judge(ctx, path, facts, [*self._differences(path, still, copied), *_unexpected(path, extra - removed, copied)])
        return facts

    def _judge(self, ctx: Context, path: str, facts: Facts, wrong: list[Finding]) -> None:
        """Raise StepFailed when files differ, and CouldNotVerify when no file was compared."""
        if wrong:
            said = stored_backup.summary(wrong)
            raise StepFailed(f"{ctx.host.name}: {path} differs from {self.original}: {said}", findings=wrong, facts=facts)
        if not facts["compared"]:
            raise CouldNotVerify(
                f"no file of {self.original} could be compared: every file changed since {self.taken_at} or is excluded",
                hint="compare sooner after the backup, or record digests when the backup is taken (files.recorded)",
            )

    def _copy(self, ctx: Context) -> tuple[str, dict[str, Entry], bool]:
        """Return the path and the entries of the restored files, and True if the backup contains the top folder itself.

        Raises StepFailed when there are no restored files.
        """
        copy = ctx.service(self.service, Folder)
        same = ctx.service(self.original, Folder).path.strip("/")
        prefix = as_user(copy.run_as, ())
        for path in [f"{copy.path}/{self.below}"] if self.below else [f"{copy.path}/{same}", copy.path]:
            entries = content.survey(ctx, path, prefix).entries
            if entries is not None:
                return path, self._kept(entries), path != copy.path
        raise _not_there(ctx, path)

    def _kept(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        return {
            name: entry for name, entry in entries.items() if not any(fnmatchcase(name, pattern) for pattern in self.exclude)
        }

    def _changed(self, times: Mapping[str, float]) -> set[str]:
        moment = parsed_moment(self.taken_at)
        limit = moment.timestamp() - GRAIN_S if moment else 0.0
        return {name for name, changed in times.items() if changed >= limit}

    def _differences(self, path: str, wanted: Mapping[str, Entry], entries: Mapping[str, Entry]) -> list[Finding]:
        ignored = {f"file-{name}" for name in self.ignore}
        return [
            difference
            for difference in compare.differences(path, wanted, entries, unexpected=False)
            if difference.code not in ignored
        ]

    def ready(self, ctx: Context) -> None:
        """Check that the host of the restored files and the host of the original files have python3."""
        host_programs.need_python(ctx)
        host_programs.need_python(replace(ctx, host=ctx.host_named(ctx.service(self.original, Folder).host)))


def _folder_of(name: str, entries: Mapping[str, Entry]) -> str:
    """Return the nearest parent folder of ``name`` that is in ``entries``, or ``.``."""
    parts = name.split("/")[:-1]
    while parts and "/".join(parts) not in entries:
        parts.pop()
    return "/".join(parts) or "."


def _unexpected(path: str, names: Iterable[str], entries: Mapping[str, Entry]) -> list[Finding]:
    return [
        finding("file-unexpected", title=f"{path}/{name}", wanted="nothing", measured=entries[name].type)
        for name in sorted(names)
    ]


def _not_there(ctx: Context, path: str) -> StepFailed:
    return StepFailed(
        f"{ctx.host.name}: {path} does not exist: nothing was restored to this folder",
        findings=[finding("file-missing", title=path, wanted="a folder", measured="not there", host=ctx.host.name)],
    )


# FOLDER LIST: print the digests of the listed files in the format of LIST; report missing files on standard error.
_RECORDED = """
cd -- "$1" || exit 44
sha256sum -- "$2" >/dev/null || exit 45
LC_ALL=C sha256sum --check --strict -- "$2" 2>&1
"""


class Recorded(Read):
    """Compare restored files with digests that were recorded at the time of the backup, in the format of sha256sum(1)."""

    SERVICE = Folder
    TIMEOUT = 1800.0

    service: FolderName
    digests: Annotated[
        str,
        Field(
            pattern=r"^[^\x00\n]+$",
            description=(
                "Path of the file with the digests: a path relative to the restored folder, or an absolute path "
                "on the same host."
            ),
        ),
    ]
    below: Annotated[str, Field(description="Subfolder to which the file names in the list of digests are relative.")] = ""

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True. The content is always compared."""
        return True

    def ready(self, ctx: Context) -> None:
        """Check that the list of digests can be read. Nothing is checked for a sandbox, because the drill restores the
        list to the sandbox later."""
        copy = ctx.service(self.service, Folder)
        if is_sandbox(copy) or not (self.known("digests") and self.known("below")):
            return
        words = (*as_user(copy.run_as, ()), "sh", "-c", 'cd -- "$1" && test -r "$2"', "sh", self._path(copy), self.digests)
        if not ctx.run(*words).ok:
            ctx.lacking(
                NotReady(
                    f"{ctx.host.name}: the list of digests {self.digests} of {copy.name} does not exist, or cannot be read",
                    hint="correct `digests` and `below`, or restore the list with the files",
                )
            )

    def _path(self, copy: Folder) -> str:
        return f"{copy.path}/{self.below}".rstrip("/")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``compared`` (number of files)."""
        copy = ctx.service(self.service, Folder)
        path = self._path(copy)
        sink = Answer(f"{ctx.host.name}: the comparison with {self.digests}")
        words = (*as_user(copy.run_as, ()), "sh", "-c", _RECORDED, "sh", path, self.digests)
        output = ctx.host.run(words, deadline=ctx.deadline, sink=sink)
        if output.exit in (44, 45):
            raise _not_there(ctx, path if output.exit == 44 else f"{path}/{self.digests}")
        lines = re.findall(r"^(.+): (OK|FAILED|FAILED open or read)$", sink.text, re.MULTILINE)
        wrong = [_wrong(f"{path}/{name}", said) for name, said in lines if said != "OK"]
        facts: Facts = {"path": path, "compared": len(lines)}
        if wrong:
            said = stored_backup.summary(wrong)
            raise StepFailed(f"{ctx.host.name}: {path} differs from {self.digests}: {said}", findings=wrong, facts=facts)
        if not output.ok or not lines:
            raise CouldNotVerify(
                f"{ctx.host.name}: {self.digests} is not in the format of sha256sum(1): {printable(sink.text.strip(), limit=200)}"
            )
        return facts


def _wrong(title: str, said: str) -> Finding:
    if said == "FAILED":
        return finding("file-content", title=title, wanted="the recorded digest", measured="another")
    return finding("file-missing", title=title, wanted="a file that can be read", measured="a file that cannot be opened")
