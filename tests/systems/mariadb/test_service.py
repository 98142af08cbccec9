"""The service kind `mariadb`."""

import pytest
from pydantic import ValidationError

from drillbook.systems.mariadb.service import Mariadb


def service(**changes):
    return Mariadb(name="shop", host="db-1", **changes)


def test_a_server_is_reserved_by_its_port_or_its_socket():
    assert service().lock_name == "mariadb-3306"
    assert service(database="shop").lock_name == "mariadb-3306", "databases share the server that a restore replaces"
    assert service(address="/run/a.sock").lock_name != service(address="/run/b.sock").lock_name


def test_an_address_that_is_a_path_is_a_socket():
    assert (service().socket, service().listens) == ("", ("127.0.0.1", 3306))
    own = service(address="/run/mysqld/mysqld.sock")
    assert (own.socket, own.listens) == ("/run/mysqld/mysqld.sock", None)


def test_a_server_in_a_sandbox_has_its_own_socket_account_and_data():
    fields = Mariadb.fields_in_sandbox("/box")
    made = service(**fields)
    assert (made.socket, made.user, made.data) == ("/box/mariadb.sock", "drillbook", "/box/data")
    assert made.password is None


def test_the_data_directory_has_no_slash_at_its_end():
    assert (service().data, service(data_directory="/srv/data/").data) == ("", "/srv/data")


@pytest.mark.parametrize("name", ["lower_case_table_names", "innodb-page-size", "sql_mode", "max_allowed_packet"])
def test_a_setting_that_reads_the_data_is_accepted(name):
    assert service(settings={name: "1"}).settings == {name: "1"}


@pytest.mark.parametrize("name", ["init_file", "plugin_load_add", "skip_networking", "log_bin", "innodb_x --init-file"])
def test_a_setting_that_starts_something_else_is_refused(name):
    with pytest.raises(ValidationError):
        service(settings={name: "1"})
