"""Permissions of a host's user on files, checked before anything runs: real owners, a real ordinary user."""

import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

from drillbook.cli.program import main
from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.systems.files.actions.backup import Archive, Extract
from drillbook.systems.files.actions.faults.disappearance import Remove
from drillbook.systems.files.actions.faults.loss_and_damage import Corrupt, Lose
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.program import Folder
from tests.systems.ground import Ground, is_root
from tests.systems.test_faults_as_ordinary_user import NOBODY, PREFIX, Ordinary

pytestmark = pytest.mark.skipif(not is_root(), reason="only root can make what belongs to others")


@pytest.fixture
def ground():
    need("setpriv")
    root = Path(tempfile.mkdtemp(prefix="drillbook-rights-", dir="/var/tmp"))  # only root can enter the folders of pytest
    made = Ground(root, services={"app": Process(name="app", host="here")})
    made.host, made.prefix = Ordinary("here", target=made.host.target), PREFIX
    root.chmod(0o755)
    os.chown(made.scratch, NOBODY, NOBODY)
    yield made
    made.close()
    shutil.rmtree(root)


def tree(ground, name, *, folder=0o755, owner=0, inner=0, mode=0o644):
    """Folder like `/var` with `www` in it, with the owners and permissions of both."""
    var = ground.root / name
    (var / "www" / "sub").mkdir(parents=True)
    (var / "www" / "page").write_text("content\n" * 20)
    (var / "www" / "page").chmod(mode)
    for path in (var / "www", var / "www" / "sub", var / "www" / "page"):
        os.chown(path, inner, inner)
    var.chmod(folder)
    os.chown(var, owner, owner)
    return var / "www"


def early(kind, **known):
    """Action whose other parameters are facts of earlier steps, as before a run."""
    required = {info.alias or name for name, info in kind.model_fields.items() if info.is_required()}
    return kind.with_unknown(known, required - known.keys())


def wrong(ground, action):
    with pytest.raises(NotReady) as told:
        action.ready(ground.ctx())
    assert told.value.hint
    return told.value.message


def test_a_folder_of_another_owner(ground):
    """As with /var/www, which root created: every action would fail halfway."""
    www = tree(ground, "var")
    assert "var cannot be written by nobody" in wrong(ground, Remove(path=str(www)))
    with pytest.raises((HostError, StepFailed)):
        Remove(path=str(www)).inject(ground.ctx())
    assert "var cannot be written by nobody" in wrong(ground, early(Lose, service="app", path=str(www)))
    assert "var cannot be written by nobody" in wrong(ground, early(Extract, service="app", path=str(www)))
    assert "page cannot be written by nobody" in wrong(ground, Corrupt(path=str(www / "page")))
    early(Archive, service="app", path=str(www)).ready(ground.ctx())


def test_owners_that_could_not_be_given_back(ground):
    """The folder around it belongs to the user, but its content does not: an extracted archive would change the owner."""
    www = tree(ground, "srv", owner=NOBODY)
    Remove(path=str(www)).ready(ground.ctx())
    assert "www cannot be written" in wrong(ground, early(Lose, service="app", path=str(www)))
    for path in (www, www / "sub"):
        os.chown(path, NOBODY, NOBODY)
    assert "page belongs to another user" in wrong(ground, early(Lose, service="app", path=str(www)))


def test_the_sticky_bit(ground):
    www = tree(ground, "tmp", folder=0o1777)
    assert "sticky bit" in wrong(ground, Remove(path=str(www)))
    with pytest.raises((HostError, StepFailed)):
        Remove(path=str(www)).inject(ground.ctx())
    assert "sticky bit" in wrong(ground, early(Extract, service="app", path=str(www)))
    early(Extract, service="app", path=str(ground.root / "tmp" / "other")).ready(ground.ctx())


def test_what_cannot_be_read_is_not_archived(ground):
    www = tree(ground, "closed", owner=NOBODY, mode=0o600)
    assert "page cannot be read by nobody" in wrong(ground, early(Archive, service="app", path=str(www)))


def test_what_is_the_users_own_is_ready(ground):
    www = tree(ground, "own", owner=NOBODY, inner=NOBODY)
    for action in (
        early(Lose, service="app", path=str(www), **{"from": "s3://backups/www"}),
        early(Extract, service="app", path=str(www)),
        early(Archive, service="app", path=str(www)),
        Corrupt(path=str(www / "page")),
        Remove(path=str(www)),
    ):
        action.ready(ground.ctx())
    ground.cycle(Remove(path=str(www)))
    ground.cycle(Corrupt(path=str(www / "page")))


def said_by(folder, *argv):
    """Exit status of a command line in this process."""
    os.chdir(folder)
    sys.argv = ["drillbook", *argv]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def as_nobody(folder, loading, *argv):
    """Exit status and output of a command line as an ordinary user.

    It runs in a fork of a process that has run the same in the folder ``loading`` before, because such a user may not
    be able to read Python's files.
    """
    said = folder.parent / "said"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            out = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            sys.stdout = sys.stderr = os.fdopen(out, "w")
            os.environ.update(HOME=str(folder), XDG_CONFIG_HOME=str(folder), COLUMNS="200")
            said_by(loading, *argv)
            sys.stdout.truncate(sys.stdout.seek(0))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            status = said_by(folder, *argv)
        except BaseException:  # noqa: BLE001  a fork must not go on with the tests
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text()


def test_a_check_is_not_green_where_the_run_then_fails(ground):
    """`drill.check` by a user without permission to write `/var/www`: it reports this, and passes for a folder of the
    user.
    """
    places = {"theirs": tree(ground, "var"), "ours": tree(ground, "own", owner=NOBODY, inner=NOBODY)}
    roots = []
    for name in ("loading", "project"):
        root = ground.root / name
        root.mkdir()
        folder = Folder(root)
        for drill, www in places.items():
            folder.write(f"inject:\n  - files.remove: {{path: {www}}}\n    hosts: controller\n", drill)
        roots.append(root)
    loading, root = roots
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    status, said = as_nobody(root, loading, "drill.check", "theirs")
    assert (status, "var cannot be written by nobody" in said, "the drill would be refused" in said) == (4, True, True), said
    status, said = as_nobody(root, loading, "drill.check", "ours")
    assert (status, "the drill could begin now" in said) == (0, True), said
