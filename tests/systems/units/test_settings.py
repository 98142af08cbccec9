"""Settings of a service in its env file, on this machine; tests/e2e/test_handbook.py adds a unit to restart."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.service import Http
from drillbook.systems.units.actions.settings import Apply, Change, Keep, PutBack, changed

TEXT = "# the API's\nAPI_PORT=8000\nexport SECRET_URL=postgresql://u:hunter2@h/d\n\nLEVEL=info\n"


@pytest.fixture
def env(ground, tmp_path):
    path = tmp_path / "home" / "api.env"
    path.parent.mkdir()
    path.write_text(TEXT)
    path.chmod(0o640)
    ground.services = {"api": Http(name="api", host="here", url="http://127.0.0.1:1", env_file=str(path))}
    return path


def change(**more):
    return Change.model_validate({"service": "api", "restart": False, **more})


def test_the_text_of_an_env_file():
    assert changed(TEXT, ["SECRET_URL"], {}) == "# the API's\nAPI_PORT=8000\n\nLEVEL=info\n"
    assert changed("A=1\nB=2", [], {"A": "3", "C": "x"}) == "B=2\nA=3\nC=x\n"


def test_a_variable_is_gone_until_the_undo(ground, env):
    seen = []
    facts = ground.cycle(change(remove=["SECRET_URL"], set={"LEVEL": "debug"}), lambda: seen.append(env.read_text()))
    assert seen == ["# the API's\nAPI_PORT=8000\n\nLEVEL=debug\n"]
    assert env.read_text() == TEXT
    assert env.stat().st_mode & 0o777 == 0o640
    assert list(env.parent.iterdir()) == [env]
    assert "hunter2" not in str(facts)


def test_an_undo_of_what_never_happened(ground, env):
    ground.never(change(remove=["LEVEL"]))
    assert env.read_text() == TEXT


def test_the_kept_copy_is_put_back_and_stays(ground, env):
    ctx = ground.ctx("backup.1")
    keep = Keep(service="api")
    kept = keep.run(ctx)
    fault = change(remove=["SECRET_URL"])
    undo = fault.undo(ground.ctx())
    fault.inject(ground.ctx())
    PutBack.model_validate({"service": "api", "from": kept["kept"], "sha256": kept["sha256"]}).run(ctx)
    assert env.read_text() == TEXT
    env.write_text(TEXT + "NEWER=1\n")
    ground.undo(undo)
    ground.undo(keep.undo(ctx))
    assert env.read_text() == TEXT + "NEWER=1\n"
    assert env.stat().st_mode & 0o777 == 0o640
    assert list(env.parent.iterdir()) == [env]


def test_a_remedy_is_put_back_and_below_it_the_fault(ground, env):
    """As when the run dies after both: undone newest first, on the target, by commands only."""
    fault = change(remove=["SECRET_URL"])
    remedy = Apply.model_validate({"service": "api", "restart": False, "set": {"POOL": "20"}})
    undos = []
    for action, step in ((fault, "inject.1"), (remedy, "restore.1")):
        ctx = ground.ctx(step)
        action.ready(ctx)
        undos.append(action.undo(ctx))
        assert action.active(ctx) is False
        facts = action.run(ctx)
        assert action.active(ctx) is True
    assert (facts["names"], facts["was"] != facts["is"]) == (["POOL"], True)
    assert env.read_text() == "# the API's\nAPI_PORT=8000\n\nLEVEL=info\nPOOL=20\n"
    for _ in range(2):
        ground.undo(undos[1])
        ground.undo(undos[0])
        assert env.read_text() == TEXT
    assert list(env.parent.iterdir()) == [env]


def test_a_remedy_leaves_alone_what_a_cleanup_has_put_back(ground, env):
    ctx = ground.ctx("restore.1")
    kept = Keep(service="api").run(ctx)
    remedy = Apply.model_validate({"service": "api", "restart": False, "set": {"LEVEL": "debug"}})
    remedy.run(ctx)
    with pytest.raises(StepFailed, match="already replaced by this run"):
        remedy.run(ctx)
    PutBack.model_validate({"service": "api", "from": kept["kept"], "sha256": kept["sha256"]}).run(ctx)
    env.write_text(TEXT + "NEWER=1\n")
    ground.undo(remedy.undo(ctx))
    assert env.read_text() == TEXT + "NEWER=1\n"
    assert not remedy.active(ctx)


def test_a_copy_that_was_changed_is_not_put_back(ground, env):
    ctx = ground.ctx("backup.1")
    kept = Keep(service="api").run(ctx)
    with Path(kept["kept"]).open("a") as file:
        file.write("EVIL=1\n")
    with pytest.raises(StepFailed, match="differs from the kept copy"):
        PutBack.model_validate({"service": "api", "from": kept["kept"], "sha256": kept["sha256"]}).run(ctx)
    assert env.read_text() == TEXT


def test_a_disk_that_takes_only_a_part_leaves_the_settings_alone(ground, env, tmp_path, monkeypatch):
    """A `cp` that writes the beginning and fails, as on a full disk."""
    ctx = ground.ctx("backup.1")
    kept = Keep(service="api").run(ctx)
    env.write_text("BROKEN=1\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cp").write_text('#!/bin/sh\nfor last; do :; done\necho API > "$last"\nexit 1\n')
    (programs / "cp").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        put = PutBack.model_validate({"service": "api", "from": kept["kept"], "sha256": kept["sha256"]})
        with pytest.raises(StepFailed, match="cannot be written completely"):
            put.run(ctx)
    assert env.read_text() == "BROKEN=1\n"
    assert sorted(env.parent.iterdir()) == sorted([env, Path(kept["kept"])])
    left = env.with_name("api.env.drillbook-new")
    left.write_text("SECRET_URL=x\n")
    assert put.active(ctx)
    ground.undo(put.undo(ctx))
    assert not put.active(ctx)
    assert not left.exists()


def test_what_is_not_there_is_refused(ground, env):
    change(remove=["LEVEL"]).ready(ground.ctx())
    with pytest.raises(NotReady, match="no variable NOTHING"):
        change(remove=["NOTHING"]).ready(ground.ctx())
    with pytest.raises(NotReady, match="has no `unit`"):
        Change(service="api", remove=("LEVEL",)).ready(ground.ctx())
    with pytest.raises(ValidationError, match="set `remove`, `set`, or both"):
        change()
    env.unlink()
    with pytest.raises(NotReady, match="cannot be read"):
        change(remove=["LEVEL"]).ready(ground.ctx())
    ground.services = {"api": Http(name="api", host="here", url="http://127.0.0.1:1")}
    with pytest.raises(NotReady, match="has no `env_file` in the inventory"):
        change(remove=["LEVEL"]).ready(ground.ctx())
