"""Programs of each host under its supervisor."""

from drillbook.lab.layout import Lab
from tests import waiting
from tests.lab.looking import supervisor

from .conftest import run


def test_what_is_killed_stays_dead(lab: Lab) -> None:
    pid = int(run(lab, "app-1", "supervisorctl -c supervisord.conf pid traffic").out)
    run(lab, "app-1", f"kill -9 {pid}")

    def shown() -> bytes:
        return run(lab, "app-1", "supervisorctl -c supervisord.conf status traffic").out

    waiting.until(lambda: b"EXITED" in shown(), "the end of the program")
    waiting.nothing_happens_for(1.5, lambda: b"EXITED" not in shown())
    supervisor(lab, "app-1", "start", "traffic")
