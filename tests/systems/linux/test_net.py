"""Names and paths from a host to a peer."""

import shutil
import socket
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.linux.actions.net import Resolve, Route
from tests.needs import need
from tests.ports import free_port
from tests.systems.ground import PLAIN, path_without
from tests.systems.refusals import refused_until


def test_names(ground):
    assert "127.0.0.1" in Resolve(name="localhost").run(ground.ctx())["addresses"]
    with pytest.raises(StepFailed, match="has no address"):
        Resolve(name="no-such-name.invalid").run(ground.ctx())


def test_the_way_to_a_peer(ground):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = Route(address="127.0.0.1", port=port).run(ground.ctx())
        assert (found["reached"], found["how"]) == (True, "answered")
    found = Route(address="127.0.0.1", port=free_port()).run(ground.ctx())
    assert (found["reached"], found["how"]) == (False, "refused")
    found = Route(address="no-such-name.invalid", port=80).run(ground.ctx())
    assert (found["reached"], found["how"]) == (False, "unresolved")


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (("getent", "python3"), "no program on this host can resolve names"),
        (("python3", "timeout"), "no program on this host can connect to a TCP port"),
        (("python3", "bash"), "no program on this host can connect to a TCP port"),
    ],
)
def test_a_path_is_not_called_broken_because_a_program_is_missing(ground, monkeypatch, lacking, said):
    """A host without Python uses bash and timeout to connect."""
    kept = {"getent", "bash", "timeout"} - {*lacking}
    folder = Path(path_without(ground.root / "bin", *lacking))
    for tool in kept:
        (folder / tool).unlink(missing_ok=True)
        (folder / tool).symlink_to(need(tool))
    with socket.create_server(("127.0.0.1", 0)) as server:
        route = Route(address="127.0.0.1", port=server.getsockname()[1])
        monkeypatch.setenv("PATH", str(folder))
        with pytest.raises(CouldNotVerify, match="no program on this host can resolve a name or connect"):
            route.run(ground.ctx())

        def mend():
            for tool in {*lacking} - {"python3"}:
                (folder / tool).symlink_to(shutil.which(tool, path=PLAIN["PATH"]))
            (folder / "python3").unlink(missing_ok=True)

        refused_until(lambda: route.ready(ground.ctx()), said, mend)
        assert route.run(ground.ctx())["reached"] is True
