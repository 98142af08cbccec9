"""Another user of a target, uid nobody in a sticky folder such as /var/tmp, attacks a drill of root: the attempts and
their results. The user sees command lines, as `ps` shows them, and acts between two commands of the drill; all of
this is done with that uid.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Target
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.systems.ground import is_root
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, BUCKET
from tests.systems.test_faults_as_ordinary_user import NOBODY, PREFIX

pytestmark = pytest.mark.skipif(not is_root(), reason="only root can be robbed by an ordinary user")
place = fixtures.place
SECRET = b"only root may read this\n"
KEEP_OPEN = """import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
os.fchmod(file, 0o666)
print(flush=True)
sys.stdin.read()
sys.stdout.buffer.write(os.pread(file, 4096, 0))
"""


class Mallory:
    """The attacking user, who reads every command line before it starts."""

    def __init__(self, folder):
        self.folder, self.seen, self.readers, self.plan = folder, [], [], None

    def do(self, script, *words):
        return (
            subprocess.run(
                [*PREFIX, "sh", "-c", script, "sh", *map(str, words)], cwd="/", check=False, capture_output=True
            ).returncode
            == 0
        )

    def first(self, name):
        """Create the folder before the drill does, writable for everybody."""
        assert self.do('umask 0; mkdir -p -- "$1"', self.folder / name)

    def swap(self, path, other):
        """Replace ``path`` by a link to ``other``."""
        return self.do('test ! -L "$1" && mv -- "$1" "$1.aside" && ln -s -- "$2" "$1"', path, other)

    def see(self, argv):
        if self.plan:
            self.plan(argv, self.seen)
        self.seen += [word for word in argv if word.startswith(f"{self.folder}/")]

    def read(self, path):
        """Create the file before the drill does, and keep it open."""
        child = subprocess.Popen(
            [*PREFIX, "/usr/bin/python3", "-c", KEEP_OPEN, path],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        child.stdout.readline()
        self.readers.append(child)

    def loot(self):
        return b"".join(child.communicate()[0] for child in self.readers)


class Watched(LocalHost):
    """This machine with a user who reads command lines."""

    def __init__(self, mallory):
        super().__init__(target=Target(name="db-1", local=True, scratch=str(mallory.folder)))
        self.mallory = mallory

    def run(self, argv, **options):
        self.mallory.see(argv)
        return super().run(argv, **options)


@pytest.fixture
def street():
    """Folder that all users can enter, as the root of a small machine."""
    need("setpriv")
    with tempfile.TemporaryDirectory(prefix="drillbook-street-", dir="/var/tmp") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        for name in ("private", "etc"):
            (root / name).mkdir(mode=0o700 if name == "private" else 0o755)
        (root / "private" / "secret").write_bytes(SECRET)
        (root / "data").mkdir()
        (root / "data" / "file").write_text("content\n")
        yield root


@pytest.fixture
def mallory(place, street):
    plain, it = place.host, Mallory(street / "tmp")
    place.host = Watched(it)
    yield it
    place.host = plain
    for child in it.readers:
        child.kill()
        child.wait()


# Paths that the attacker creates first: a run's folder as older versions named it, and Drillbook's top folder.
FIRST = pytest.mark.parametrize("first", ["drillbook-{run}", "drillbook", "drillbook/runs/{run}"])


def drill(place, mallory, first, name, **fields):
    """Run an action of root while ``mallory`` attacks. Return the error of the action."""
    ctx = place.context()
    ctx.services["app"] = Process(name="app", host="db-1")
    mallory.first(first.format(run=ctx.run_id))
    try:
        place.run(name, ctx=ctx, **fields)
    except DrillbookError as error:
        return error
    return None


def refused_or_done(error, first):
    """A scratch folder of another user is refused with a hint; otherwise nothing prevents the drill."""
    if first.startswith("drillbook-"):
        assert error is None
    else:
        assert "drillbook" in error.message
        assert "scratch" in error.hint


@FIRST
def test_a_file_of_root_alone_is_not_carried_away(place, street, mallory, first):
    def plan(argv, seen):
        for word in argv:
            if "survey" in argv and word.endswith("/files"):
                mallory.do(
                    'mv -- "$1" "$1.aside" && mkdir -- "$1" && chmod 777 "$1" && ln -s -- "$2" "$1/files"',
                    word.removesuffix("/files"),
                    street / "private",
                )

    mallory.plan = plan
    to = f"loot-{first.count('/')}-{len(first)}"
    error = drill(place, mallory, first, "files.archive", service="app", path=str(street / "data"), to=f"s3://{BUCKET}/{to}")
    bodies = [place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in place.keys(to)]
    assert SECRET not in bodies
    refused_or_done(error, first)


@FIRST
def test_nothing_is_written_into_a_folder_of_root(place, street, mallory, first):
    ctx = place.context()
    ctx.services["app"] = Process(name="app", host="db-1")
    place.host, watched = (
        LocalHost(target=Target(name="db-1", local=True, scratch=str(place.folder / "scratch"))),
        place.host,
    )
    facts = place.run("files.archive", service="app", path=str(street / "data"), to=f"s3://{BUCKET}/{street.name}")
    place.host = watched

    def plan(argv, seen):
        for word in {word for word in seen if "/intact-" in word and word.endswith("backup.1")}:
            mallory.swap(word, street / "etc")

    mallory.plan, written = plan, []
    watched_etc = street / "etc"

    class Look(Watched):
        def run(self, argv, **options):
            try:
                return super().run(argv, **options)
            finally:
                written.extend(path.name for path in watched_etc.iterdir())

    place.host = Look(mallory)
    error = drill(place, mallory, first, "files.backup_intact", service="app", **{"from": facts["location"]})
    assert written == []
    refused_or_done(error, first)


@FIRST
def test_the_password_of_a_superuser_is_not_read(place, mallory, first):
    def plan(argv, seen):
        for word in argv:
            if "/passfile-" in word:
                mallory.read(word)

    if "primary" not in place.clusters:
        place.place("primary")
    mallory.plan, ctx = plan, place.context()
    mallory.first(first.format(run=ctx.run_id))
    error = None
    try:
        Tools.of(ctx, ctx.services["primary"]).client("psql", "--command", "SELECT 1")
    except NotReady as refusal:
        error = refusal
    assert ADMIN_PASSWORD.encode() not in mallory.loot()
    refused_or_done(error, first)


def test_a_folder_between_that_others_may_change_is_refused(place, street, mallory):
    """Without the sticky bit, any user with write access to a folder can replace a folder of root in it."""
    mallory.folder.chmod(0o777)
    error = drill(
        place, mallory, "elsewhere", "files.archive", service="app", path=str(street / "data"), to=f"s3://{BUCKET}/between"
    )
    assert f"{mallory.folder} may be written by others" in error.message
    assert "scratch" in error.hint


def extracted(place, street, mallory, plan):
    """Extract the files of an ordinary user again, as root, while ``plan`` runs. Return the error."""
    home, name = street / "home" / "inner", street.name
    (home / "data").mkdir(parents=True)
    (home / "data" / "file").write_text("content\n")
    for path in (street / "home", home, home / "data", home / "data" / "file"):
        shutil.chown(path, NOBODY, NOBODY)
    facts = place.run("files.archive", ctx=app(place), service="app", path=str(home / "data"), to=f"s3://{BUCKET}/{name}")
    shutil.rmtree(home / "data")
    mallory.plan = plan
    try:
        place.run("files.extract", ctx=app(place), service="app", **{"from": facts["location"]})
    except DrillbookError as error:
        return error
    return None


def app(place):
    ctx = place.context(step="restore.1")
    ctx.services["app"] = Process(name="app", host="db-1")
    return ctx


def test_files_are_extracted_where_nobody_swapped_anything(place, street, mallory):
    assert extracted(place, street, mallory, None) is None
    assert (street / "home" / "inner" / "data" / "file").read_text() == "content\n"


@pytest.mark.parametrize("kind", ["link", "folder"])
@pytest.mark.parametrize("when", range(4))
def test_root_extracts_nothing_into_a_folder_that_a_link_leads_to(place, street, mallory, when, kind):
    """The folder next to the place is replaced right before one of the commands that work in it."""

    def plan(argv, seen):
        beside = [
            path
            for path in (street / "home" / "inner").iterdir()
            if path.name.endswith("-new") and not path.is_symlink() and str(path) in argv
        ]
        if beside and len(told) == when:
            if kind == "folder":
                mallory.do('mv -- "$1" "$1.aside" && mkdir -p -- "$1/data"', beside[0])
            else:
                mallory.swap(beside[0], street / "etc")
        told.extend(beside)

    told = []
    (street / "etc" / "data").mkdir(mode=0o700)
    (street / "etc" / "data" / "shadow").write_bytes(SECRET)
    error = extracted(place, street, mallory, plan)
    assert [path.name for path in (street / "etc").iterdir()] == ["data"], "nothing came, and nothing was moved away"
    assert [path.name for path in (street / "etc" / "data").iterdir()] == ["shadow"]
    assert len(told) > when, "it was swapped"
    assert (error is not None) == (when < 3), "its last command only removes it"
    said = "another folder in its place" if kind == "folder" else "a link that another user made"
    assert error is None or said in error.message


def test_root_extracts_nothing_where_a_link_of_somebody_else_leads(place, street, mallory):
    """The folder around the place is replaced before anything begins."""

    def plan(argv, seen):
        inner = street / "home" / "inner"
        if not inner.is_symlink() and any("/extract-" in word for word in argv):
            assert mallory.swap(inner, street / "etc")

    error = extracted(place, street, mallory, plan)
    assert list((street / "etc").iterdir()) == []
    assert "a link that another user made" in error.message
    assert "owner of these files" in error.message


def test_root_deletes_nothing_where_a_link_of_somebody_else_leads(place, street, mallory):
    home = street / "home" / "inner"
    (home / "data").mkdir(parents=True)
    (home / "data" / "file").write_text("content\n")
    for path in (street / "home", home):
        shutil.chown(path, NOBODY, NOBODY)
    facts = place.run(
        "files.archive", ctx=app(place), service="app", path=str(home / "data"), to=f"s3://{BUCKET}/{street.name}"
    )
    (street / "etc" / "data").mkdir()

    class Late(Watched):
        """The user replaces the path right before the program that deletes."""

        def run(self, argv, *, stdin=b"", **options):
            if b"def lose(" in stdin:
                assert mallory.swap(home, street / "etc")
            return super().run(argv, stdin=stdin, **options)

    place.host = Late(mallory)
    lose = place.action("files.lose", service="app", path=str(home / "data"), **{"from": facts["location"]})
    with pytest.raises(StepFailed, match="a link that another user made"):
        lose.run(app(place))
    assert (street / "etc" / "data").is_dir()
    assert (street / "home" / "inner.aside" / "data" / "file").exists()


def test_root_archives_nothing_where_a_link_of_somebody_else_leads(place, street, mallory):
    home = street / "home" / "inner"
    (home / "data").mkdir(parents=True)
    (home / "data" / "file").write_text("content\n")
    for path in (street / "home", home):
        shutil.chown(path, NOBODY, NOBODY)
    (street / "private" / "data").mkdir()
    (street / "private" / "data" / "file").write_bytes(SECRET)

    def plan(argv, seen):
        if "tar" in argv or any("tree.py" in word for word in argv) or any(word.endswith("/files") for word in argv):
            mallory.swap(home, street / "private")

    mallory.plan = plan
    to = f"archived-{street.name}"
    with pytest.raises(StepFailed, match="a link that another user made"):
        place.run("files.archive", ctx=app(place), service="app", path=str(home / "data"), to=f"s3://{BUCKET}/{to}")
    assert place.keys(to) == []


def test_what_is_removed_beside_a_place_is_not_what_a_link_of_somebody_else_leads_to(place, street, mallory):
    def plan(argv, seen):
        if any(word.endswith("-lost") for word in argv) and not (street / "home" / "inner").is_symlink():
            for kind in ("lost", "new"):
                name = next(Path(word).name for word in argv if word.endswith("-lost")).removesuffix("lost")
                (street / "etc" / f"{name}{kind}").mkdir()
                (street / "etc" / f"{name}{kind}" / "file").write_text("of root")
            assert mallory.swap(street / "home" / "inner", street / "etc")

    assert extracted(place, street, mallory, plan) is None
    left = sorted((street / "etc").iterdir())
    assert len(left) == 2, "what was lost elsewhere is not removed"
    ctx = app(place)
    undo = place.action(
        "files.extract",
        service="app",
        path=str(street / "home" / "inner" / "data"),
        **{"from": f"s3://{BUCKET}/{street.name}"},
    ).undo(ctx)
    made = street / "etc" / Path(undo.commands[0][-1]).name
    made.mkdir()
    for argv in undo.commands:
        assert not place.host.run(argv, deadline=ctx.deadline).ok
    assert made.is_dir()
