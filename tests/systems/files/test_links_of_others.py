"""File actions as root in a folder of another user, who replaces files by links at every moment.

Before each program that an action or its undo runs, the user (a real uid) replaces something. No file of root may
change, and no content that only root may read may get to a place where the user can read it.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from drillbook.errors import DrillbookError, StepFailed
from drillbook.sdk.service import Http
from drillbook.systems.files.actions.faults.disappearance import Remove
from drillbook.systems.files.actions.faults.loss_and_damage import Corrupt
from drillbook.systems.files.actions.faults.reversible import Chmod, FillDisk, Replace
from drillbook.systems.units.actions.settings import Change, Keep, PutBack
from tests.needs import need
from tests.systems.ground import TOOLS, Ground, is_root
from tests.systems.test_faults_as_ordinary_user import NOBODY, PREFIX

pytestmark = pytest.mark.skipif(not is_root(), reason="only root can be robbed by an ordinary user")
SECRET = "SECRET_OF_ROOT=only root may read this\n"
MOST = 6
"""Number of moments in an action and its undo at which a path is replaced; they are evenly distributed if there are
more programs.
"""
SHIM = """#!/bin/sh
read -r n < DIR/count; n=$((n + 1)); echo "$n" > DIR/count
read -r when < DIR/when
test "$n" != "$when" || PREFIX sh -c 'cd HOME && . DIR/plan' >/dev/null 2>&1
for one in /usr/bin /bin /usr/sbin; do test ! -x "$one/${0##*/}" || exec "$one/${0##*/}" "$@"; done
"""
# Attacks: a link to a file of root replaces the parent folder, the file, or a file next to it.
SWAPS = {
    "folder": "mv inner inner.aside && ln -s ROOT/etc inner",
    "file": "mv inner/file inner/aside && ln -s ROOT/etc/file inner/file",
    "secret": "mv inner/file inner/aside && ln -s ROOT/private/secret inner/file",
    "beside": 'for one in inner/.d* inner/*.d*; do test ! -e "$one" || mv "$one" inner/aside && ln -s ROOT/etc "$one"; done',
    "early": 'for one in $(cat DIR/names); do ln -s ROOT/etc/new "inner/$one" || ln -s ROOT/etc "inner/$one"; done',
}
ACTIONS = {
    "replace": (lambda path: Replace(path=path, content="wrong\n"), "folder file beside early"),
    "corrupt": (lambda path: Corrupt(path=path), "folder file beside early"),
    "chmod": (lambda path: Chmod(path=path, mode="777"), "folder file secret"),
    "remove": (lambda path: Remove(path=path), "folder beside early"),
    "fill": (lambda path: FillDisk.model_validate({"path": str(Path(path).parent), "size": "1MiB"}), "folder beside early"),
    "change": (lambda path: Change(service="api", remove=("API_KEY",), restart=False), "folder secret beside early"),
    "keep": (lambda path: Keep(service="api"), "folder secret beside early"),
}


class Street:
    """Folder of root, folder of the other user, and programs during which that user acts."""

    def __init__(self, root, monkeypatch):
        self.root, self.home, self.shims, self.between = root, root / "home", root / "shims", {}
        for name, mode in (("etc", 0o755), ("private", 0o700), ("shims", 0o755), ("ground", 0o700)):
            (root / name).mkdir(mode=mode)
            (root / name).chmod(mode)
        (root / "etc" / "file").write_text("API_KEY=of root\n" * 20)
        (root / "etc" / "file").chmod(0o644)
        (root / "private" / "secret").write_text(SECRET)
        text = SHIM.replace("PREFIX", " ".join(PREFIX)).replace("HOME", str(self.home)).replace("DIR", str(self.shims))
        (self.shims / "shim").write_text(text)
        (self.shims / "shim").chmod(0o755)
        for tool in TOOLS.split():
            if tool not in ("sh", "env", "python3"):
                (self.shims / tool).symlink_to("shim")
        monkeypatch.setenv("PATH", f"{self.shims}:{os.environ['PATH']}")
        service = Http(name="api", host="here", url="http://127.0.0.1:1", env_file=str(self.path))
        self.ground = Ground(root / "ground", services={"api": service})
        self.ground.tools = {"PATH": os.environ["PATH"]}

    @property
    def path(self):
        return self.home / "inner" / "file"

    def fresh(self):
        """Reset the other user's folder to its initial state, with its file."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.path.parent.mkdir(parents=True)
        self.path.write_text("API_KEY=abc\nOTHER=1\n" * 5)
        for one in (self.home, self.path.parent, self.path):
            os.chown(one, NOBODY, NOBODY)
        self.plan(0, "")

    def plan(self, when, script):
        (self.shims / "when").write_text(f"{when}\n")
        (self.shims / "count").write_text("0\n")
        script = script.replace("ROOT", str(self.root)).replace("DIR", str(self.shims))
        (self.shims / "plan").write_text(script)

    @property
    def count(self):
        return int((self.shims / "count").read_text())

    def roots(self):
        """All files of root: names, owners, modes, times and content."""
        found = {}
        for one in sorted([*(self.root / "etc").rglob("*"), *(self.root / "private").rglob("*"), self.root / "etc"]):
            state = one.lstat()
            found[str(one)] = (
                state.st_mode,
                state.st_uid,
                state.st_mtime_ns,
                state.st_ino,
                one.read_bytes() if stat.S_ISREG(state.st_mode) else b"",
            )
        return found

    def carry_out(self, make):
        """Run the action and its undo as far as possible."""
        action, ctx, commands = make(str(self.path)), self.ground.ctx(), ()
        try:
            commands = action.undo(ctx).commands
            facts = action.run(ctx)
            if isinstance(action, Keep):
                PutBack.model_validate({"service": "api", "from": facts["kept"], "sha256": facts["sha256"]}).run(ctx)
        except DrillbookError:
            pass
        self.between = self.roots()
        for argv in commands:
            self.ground.host.run(argv, deadline=ctx.deadline)

    def leaked(self):
        return [
            one
            for one in self.home.rglob("*")
            if not one.is_symlink() and one.is_file() and "SECRET_OF_ROOT" in one.read_text()
        ]


@pytest.fixture
def street(monkeypatch):
    need("setpriv")
    root = Path(tempfile.mkdtemp(prefix="drillbook-street-", dir="/var/tmp"))
    root.chmod(0o755)
    made = Street(root, monkeypatch)
    yield made
    made.ground.close()
    shutil.rmtree(root)


@pytest.mark.parametrize(("name", "swap"), [(name, swap) for name in ACTIONS for swap in ACTIONS[name][1].split()])
def test_root_follows_no_link_of_another_user(street, name, swap):
    make = ACTIONS[name][0]
    street.fresh()
    names, before = set(), street.path.read_text()
    street.plan(-1, "")
    watch = street.ground.host.run

    def run(argv, **options):
        names.update(
            Path(word).name for word in argv if word.startswith(f"{street.path.parent}/") and word != str(street.path)
        )
        return watch(argv, **options)

    street.ground.host.run = run
    street.carry_out(make)
    del street.ground.host.run
    assert (street.path.read_text(), street.path.lstat().st_uid) == (before, NOBODY), (
        "nobody swapped anything, and it is as it was"
    )
    assert [one.name for one in street.path.parent.iterdir()] == ["file"]
    (street.shims / "names").write_text(" ".join(names))
    moments, theirs = street.count, street.roots()
    for when in sorted({1 + number * moments // MOST for number in range(MOST)}):
        street.fresh()
        street.plan(when, SWAPS[swap])
        street.carry_out(make)
        assert street.between == theirs, f"{name}: {swap} before tool {when} of {moments}"
        assert street.roots() == theirs, f"{name}: {swap} before tool {when} of {moments}"
        assert street.leaked() == [], f"{name}: {swap} before tool {when} of {moments}"


def test_links_of_root_are_followed(street):
    """As /var/run is a link to /run on every host; and a link of the drill's own user."""
    street.fresh()
    (street.root / "run").symlink_to("etc")
    (street.root / "etc" / "again").symlink_to(street.root / "etc" / "file")
    before = (street.root / "etc" / "file").read_bytes()
    for path in ("run/file", "run/again"):
        street.ground.cycle(Corrupt(path=str(street.root / path)), lambda: None)
        assert (street.root / "etc" / "file").read_bytes() == before
    facts = street.ground.cycle(Replace(path=str(street.root / "run" / "file"), content="wrong\n"), lambda: None)
    assert facts["was"] != facts["is"]
    assert (street.root / "etc" / "file").read_bytes() == before


@pytest.mark.parametrize("name", ["corrupt", "chmod"])
def test_a_second_name_of_a_file_of_root_is_refused(street, name):
    """Kernels without protected_hardlinks allow the user to create one."""
    street.fresh()
    street.path.unlink()
    os.link(street.root / "etc" / "file", street.path)
    theirs = street.roots()
    with pytest.raises(StepFailed, match="has further names"):
        ACTIONS[name][0](str(street.path)).run(street.ground.ctx())
    assert street.roots() == theirs


def test_a_name_that_leads_nowhere_is_removed_and_brought_back(street):
    street.fresh()
    link = street.root / "etc" / "nowhere"
    link.symlink_to("none")
    action, ctx = Remove(path=str(link)), street.ground.ctx()
    undo = action.undo(ctx)
    action.run(ctx)
    assert not link.is_symlink()
    street.ground.undo(undo)
    assert str(link.readlink()) == "none"
