"""Needs of the actions of MariaDB and MySQL on the host of the server."""

from drillbook.sdk.host_needs import HostNeeds

_PORT = "the server's port or socket, from its host"
HOST_NEEDS = {
    "mariadb.lose_data": HostNeeds(
        ("mariadb",), "the database account of the inventory: SELECT and DROP; read the data directory (`run_as`)", _PORT
    ),
    "mariadb.*": HostNeeds(
        ("mariadb",), "the database account of the inventory: read; for `mariadb.sql` as the statement needs", _PORT
    ),
}
