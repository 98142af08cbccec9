"""Contents of the lab, behaviour of its application, and its restriction to loopback."""

from pathlib import Path

from drillbook.lab import processes
from drillbook.lab.layout import Lab


def test_every_socket_is_on_loopback(lab: Lab) -> None:
    pids = processes.below([lab.pid], processes.everything()) | {lab.pid}
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    seen = 0
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                seen += 1
                addresses = {fields[1].split(":")[0], fields[2].split(":")[0]} - {"00000000" if fields[3] == "0A" else ""}
                assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}, f"{table}: {line}"
    assert seen > 15
