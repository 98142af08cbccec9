"""Trivial steps over SSH: Drillbook's SshHost, multiplexed ``ssh`` and a plain Fabric channel, in the same run.
python -m bench.steps [ROUNDS] Medians of interleaved rounds; each host is a separate, real sshd on loopback, which
shares the cores with all of them. The time includes connecting, as for a drill.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.hosts.servers import OpenSsh

from drillbook.hosts.open import open_host
from drillbook.hosts.ssh.login import open_link
from drillbook.sdk.host import Deadline

STEPS = 20


def on_all(work, servers):
    """Seconds that ``work`` takes for all servers, with one thread each."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(work, servers))
    return time.perf_counter() - started


def multiplexed(server):
    """``ssh`` with ControlMaster, as in a careful shell script."""
    control = server.folder / "control"
    ssh = [
        "ssh",
        "-F",
        "none",
        "-S",
        control,
        "-i",
        server.client_key,
        "-p",
        str(server.port),
        "-l",
        server.user,
        "-o",
        f"UserKnownHostsFile={server.known_hosts}",
        "-o",
        "BatchMode=yes",
    ]
    subprocess.run(
        [*ssh, "-M", "-N", "-f", "127.0.0.1"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(STEPS):
        subprocess.run([*ssh, "127.0.0.1", "true"], check=True, stdin=subprocess.DEVNULL)
    subprocess.run([*ssh, "-O", "exit", "127.0.0.1"], check=True, capture_output=True)


def thin(server):
    """The minimum with paramiko: no process id, no deadline, no output."""
    link = open_link(server.target())
    for _ in range(STEPS):
        channel = link.transport.open_session()
        channel.exec_command("true")
        assert channel.recv_exit_status() == 0
        channel.close()
    link.close()


def drillbook(server):
    """``Host.run`` with all its guarantees."""
    host = open_host(server.target(), targets={})
    for _ in range(STEPS):
        host.run(["true"], deadline=Deadline.after(30)).check()
    host.close()


WAYS = {"ssh-cm": multiplexed, "thin": thin, "drillbook": drillbook}


def main(rounds):
    """Print a table."""
    with ExitStack() as stack:
        servers = []
        for _ in range(4):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drillbook-bench-")))
            servers.append(OpenSsh(folder).start())
            stack.callback(servers[-1].stop)
        for count in (1, 4):
            times = {name: [] for name in WAYS}
            for _ in range(rounds + 1):
                for name, way in WAYS.items():
                    times[name].append(on_all(way, servers[:count]))
            medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first warms up
            for name, median in medians.items():
                ratio = median / medians["ssh-cm"]
                print(f"{count} hosts x {STEPS} steps  {name:10} {median:6.3f} s  {ratio:5.2f} x ssh-cm")
        single(servers[0])


def single(server):
    """Print what one command takes on an open connection."""
    host = open_host(server.target(), targets={})
    link = open_link(server.target())
    mine, bare, command = [], [], ["true"]
    for _ in range(100):
        started = time.perf_counter()
        host.run(command, deadline=Deadline.after(30))
        mine.append(time.perf_counter() - started)
        started = time.perf_counter()
        channel = link.transport.open_session()
        channel.exec_command("true")
        channel.recv_exit_status()
        channel.close()
        bare.append(time.perf_counter() - started)
    link.close()
    host.close()
    ratio = statistics.median(mine) / statistics.median(bare)
    print(
        f"one command: drillbook {1e3 * statistics.median(mine):.2f} ms, thin {1e3 * statistics.median(bare):.2f} ms, "
        f"{ratio:.2f} x thin"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
