"""Writes the files of a new project: inventories, a first drill, a suite, tasks, and files for CI and for editors. The
first drill can be run at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rich.text import Text

from drillbook.catalog import entries, shipped_files
from drillbook.cli import ci_files, copied_entries, host_examination, looked_project, rehearsal_project
from drillbook.cli.console import console
from drillbook.cli.looked_project import Looked
from drillbook.cli.rehearsal_project import Answers, blanks
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.language.lists import listed
from drillbook.plan import schema
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose

FILES = {
    "inventory/staging.yml": "staging.yml",
    "drills/first.yml": "first.yml",
    "drills/pre-release.yml": "suite.yml",
    "tasks.py": "tasks.txt",
    ".gitignore": "gitignore",
    ".drillbook/.gitignore": "keyignore",
}
"""Files of a new project. The key of each entry is the path of the file, and the value is the name of its template. The
files for CI are not listed here, because ``cli.ci_files`` makes them.
"""
LAB_JOB, REHEARSAL_JOB = ci_files.Job("pre-release", "lab", lab=True), ci_files.Job("rehearse", "rehearsal", lab=False)
FIRST = (
    ("drill.plan first", "see what the first drill would do"),
    ("drill first", "run the first drill on the lab"),
)
"""Commands that are suggested in a new project, each with its purpose."""
OWN_HOSTS = "then describe your own hosts in inventory/staging.yml"
"""Advice that is printed below the commands ``FIRST``."""
REHEARSAL = (
    ("drill.check rehearse --inventory rehearsal", "check if the rehearsal could begin now; changes nothing"),
    ("drill rehearse --inventory rehearsal", "restore the newest backup into the sandbox"),
)
"""Commands that are suggested in a project that rehearses backups, each with its purpose."""


def init(
    folder: Path,
    answers: Answers | None = None,
    names: Sequence[str] = (),
    source: str = "",
    looked: Looked | None = None,
) -> int:
    """Create a project in ``folder``, or add files to an existing project.

    ``answers``: the user's answers about backups. When they are given, the new project rehearses these backups.
    ``names``: entries of the catalogue to copy into the project. ``source``: URL from which CI installs Drillbook.
    ``looked``: result of an examination of hosts. A new project gets the inventory of these hosts, and a first drill of
    a service that was found. An existing project gets only the entries of the catalogue and this inventory.

    Raises UsageError, before anything is written, when one of the files exists already, or when an answer is invalid. Raises
    UsageError also when a file cannot be written; other files may have been written before.
    """
    grows = bool(names or looked) and (folder / "drills").is_dir()
    content = free(folder, answers, names, source, looked)
    for name, text in content.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as target:
                target.write(text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from None
    after = looked.commands(new=not grows) if looked else REHEARSAL if answers else () if grows else FIRST
    adapted = copied_entries.adapted(folder, names)
    missing = _blanks(answers) + (looked.remarks() if looked else []) + copied_entries.to_adapt(adapted)
    head = f"added to {folder.resolve()}:" if grows else f"a new project in {folder.resolve()}:"
    jobs = () if adapted else copied_entries.of_jobs(folder, names)
    remarks = [remark] if answers and (remark := rehearsal_project.remark(answers)) else []
    later = [*([OWN_HOSTS] if after == FIRST else []), *jobs, *_of_ci(content), *remarks]
    _tell(folder, list(content), [*copied_entries.commands(names, adapted), *after], missing, head)
    for line in later:
        console().print(Prose(Text(line), 4))
    return Exit.OK


def _blanks(answers: Answers | None) -> list[str]:
    """Return instructions to replace the placeholders in the inventory of a new project."""
    missing = blanks(answers) if answers else []
    return [f"replace {', '.join(missing)} in inventory/rehearsal.yml"] if missing else []


def _of_ci(content: dict[str, str]) -> list[str]:
    """Return what is left to do before CI can run the drills of a new project."""
    unnamed = re.search(r"^#drillbook", content.get("requirements.in", ""), re.MULTILINE)
    line = f"write the URL of Drillbook into requirements.in, so that CI can install it (or use `{program()} init --source URL`)"
    return [f"later: {line}"] if unnamed else []


def free(
    folder: Path,
    answers: Answers | None = None,
    names: Sequence[str] = (),
    source: str = "",
    looked: Looked | None = None,
) -> dict[str, str]:
    """Return the contents of the files to write, with their paths as keys. ``names``: entries of the catalogue to copy.

    If the project exists already, the result contains only the inventory in ``looked`` and the files of the copied entries,
    and of these only those that the project lacks. Raises UsageError when one of the files exists in ``folder`` with
    other content, and UnknownName for an unknown entry. The inventories of labs are left out where they do not belong; see
    ``copied_entries.contents``.
    """
    content = copied_entries.contents(folder, names, own=bool(answers or (looked and looked.subject)))
    content |= {host_examination.NAME: looked.inventory} if looked else {}
    if (names or looked) and (folder / "drills").is_dir():
        if answers:
            raise UsageError(
                f"{folder.resolve()} is a project already",
                hint="to add drills to this project, use --with without --rehearse",
            )
        content = {name: text for name, text in content.items() if not _holds(folder / name, text)}
    else:
        content = {**_made(answers, looked, source), **content}
    taken = [name for name in content if (folder / name).exists() or (folder / name).is_symlink()]
    if taken:
        raise UsageError(
            f"{folder.resolve()} already contains {listed(taken, 3)}; nothing was written",
            hint=_way_out(taken, names),
        )
    return content


def _way_out(taken: Sequence[str], names: Sequence[str]) -> str:
    """Return the hint about files that exist already. If the file of a suite exists already, the hint suggests to copy the
    drills of the suite without this file.
    """
    suites = [entry for entry in map(entries.find, names) if entry.sort == "suite" and entry.files[0] in taken]
    if suites:
        drills = " ".join(f"--with {name}" for name in suites[0].drills)
        return f"copy the drills of this suite ({program()} init {drills}), and list them in a suite of your own"
    renamed = f", or rename {host_examination.NAME}" if list(taken) == [host_examination.NAME] else ""
    return f"name a new folder: {program()} init FOLDER{renamed}"


def _made(answers: Answers | None, looked: Looked | None, source: str) -> dict[str, str]:
    """Return the contents of a new project's files, with their paths as keys. Entries of the catalogue are not included. If
    ``looked`` contains a suitable service, the project gets a drill of this service, and no lab.
    """
    shared = contents()
    if answers:
        return rehearsal_project.contents(answers, program(), shared) | ci_files.contents(REHEARSAL_JOB, source)
    if looked is None or looked.subject is None:
        return shared | ci_files.contents(LAB_JOB, source)
    kept = {name: text for name, text in shared.items() if name not in ("inventory/lab.yml", "inventory/staging.yml")}
    return kept | {looked_project.DRILL: looked.drill(program())} | ci_files.contents(looked.job, source)


def _holds(path: Path, text: str) -> bool:
    """Return True when the file at ``path`` contains exactly ``text``."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def contents() -> dict[str, str]:
    """Return the contents of the files that every new project gets. The key of each content is the path of the file."""
    templates = files("drillbook.cli").joinpath("templates")
    text_by_path = {name: templates.joinpath(source).read_text(encoding="utf-8") for name, source in FILES.items()}
    text_by_path["drills/first.yml"] = as_called(text_by_path["drills/first.yml"])
    text_by_path["inventory/lab.yml"] = shipped_files.text("inventory/lab.yml")
    text_by_path |= entries.copies([entry.name for entry in entries.entries() if entry.sort == "tree"])
    text_by_path["reports/.gitkeep"] = ""
    return text_by_path | {f".drillbook/{kind}.schema.json": as_called(schema.text(kind)) for kind in schema.KINDS}


def _tell(folder: Path, names: list[str], commands: Sequence[tuple[str, str]], missing: Sequence[str], head: str) -> None:
    out = console()
    out.print(Text(head, style="bold"), soft_wrap=True)
    for name in names or ["nothing: the project already contains all these files"]:
        out.print(Text(f"  {name}"))
    if not commands:
        return
    for line in missing:
        out.print(Prose(Text(f"First {line}."), 2, above=1))
    steps = [(purpose, f"{program()} {command}") for command, purpose in commands]
    if folder.resolve() != Path.cwd():
        steps.insert(0, ("change to the project", f"cd {folder}"))
    out.print(shown_steps(steps))
