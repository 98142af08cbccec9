"""Permissions, network access and programs that the actions on MariaDB and MySQL need on the server's host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_PORT = "access to the port or the Unix socket of the server, from the server's host"
HOST_NEEDS = {
    "mariadb.lose_data": HostNeeds(
        ("mariadb",),
        "the permissions SELECT and DROP for the database account in the inventory, and permission to read the "
        "data directory as the user `run_as`",
        _PORT,
        by_sudo=BySudo.RUN_AS,
    ),
    "mariadb.*": HostNeeds(
        ("mariadb",),
        "read permission of the database account in the inventory; for `mariadb.sql`, the permissions that the statement "
        "needs; the client runs as the user `run_as`",
        _PORT,
        by_sudo=BySudo.RUN_AS,
    ),
}
