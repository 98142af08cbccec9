"""Programs, permissions and network access that the actions of this package need on a Linux host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_ROOT = "root, or `manager: {sudo: true}`"
_SAME = f"the rights of the user who owns the process; for processes of other users: {_ROOT}"
HOST_NEEDS = {
    "host.oom_kills": HostNeeds(
        either=(("journalctl", "dmesg"),),
        rights=f"permission to read the kernel's log, or {_ROOT}",
        by_sudo=BySudo.ROOT,
    ),
    "host.*": HostNeeds(rights="any user"),
    "net.filters": HostNeeds(either=(("iptables-save", "nft"),), rights=_ROOT, by_sudo=BySudo.ROOT),
    "net.resolve": HostNeeds(either=(("getent", "python3"),), rights="any user", scripted=True),
    "net.route": HostNeeds(
        either=(("getent", "python3"), ("bash", "python3"), ("ip", "python3"), ("perl", "python3", "socat", "nc")),
        rights="any user; for a Unix socket, a user who may open it (set `run_as`)",
        by_sudo=BySudo.RUN_AS,
        scripted=True,
    ),
    "network.capture": HostNeeds(("tcpdump", "timeout"), f"CAP_NET_RAW: {_ROOT}", by_sudo=BySudo.ROOT),
    "network.delay": HostNeeds(("tc", "ip"), f"CAP_NET_ADMIN: {_ROOT}", by_sudo=BySudo.ROOT),
    "network.*": HostNeeds(either=(("iptables", "nft"),), rights=f"CAP_NET_ADMIN: {_ROOT}", by_sudo=BySudo.ROOT),
    "path.*": HostNeeds(
        rights=f"permission to write the folder of the relay's `control` file; for a relay without this file, CAP_NET_ADMIN: {_ROOT}",
        by_sudo=BySudo.ROOT,
    ),
    "port.occupy": HostNeeds(
        ("timeout",),
        either=(("python3", "perl", "socat", "nc", "busybox"),),
        rights="any user; a port below 1024 needs root",
        scripted=True,
    ),
    "port.owner": HostNeeds(rights=f"any user; to see processes of other users: {_ROOT}", by_sudo=BySudo.ROOT),
    "port.release": HostNeeds(rights=_SAME, by_sudo=BySudo.ROOT),
    "process.stacks": HostNeeds(either=(("py-spy",),), rights=f"ptrace: {_SAME}", by_sudo=BySudo.ROOT),
    "process.profile": HostNeeds(either=(("py-spy",),), rights=f"ptrace: {_SAME}", by_sudo=BySudo.ROOT),
    "process.allocations": HostNeeds(("memray",), f"ptrace: {_SAME}", either=(("gdb", "lldb"),), by_sudo=BySudo.ROOT),
    "process.memory_profile": HostNeeds(rights=_SAME, by_sudo=BySudo.ROOT),
    "process.limit": HostNeeds(("prlimit",), _SAME, by_sudo=BySudo.ROOT),
    "process.usage": HostNeeds(("getconf",), _SAME, by_sudo=BySudo.ROOT, scripted=True),
    "process.*": HostNeeds(rights=_SAME, by_sudo=BySudo.ROOT),
    "relay.*": HostNeeds(
        ("python3",),
        "any user",
        "access from the controller to the relay's port (with `reach: ssh`, from the relay's host), and from the relay to "
        "the service behind it",
    ),
    "resource.*": HostNeeds(rights="any user", either=(("python3", "sh"),)),
    "tcp.open": HostNeeds(ports="access from the controller to the port"),
}
