"""Times in the names of backup files."""

from datetime import UTC, datetime

import pytest

from drillbook.sdk.backup_files import moment_in


@pytest.mark.parametrize(
    ("name", "form", "wanted"),
    [
        ("shop_20261127_031500.dump", "", (2026, 11, 27, 3, 15)),
        ("shop-2026-11-27T03:15:00.sql.gz", "", (2026, 11, 27, 3, 15)),
        ("shop-2026-11-27_03-15.sql.gz", "", (2026, 11, 27, 3, 15)),
        ("2026-11-27.tar", "", (2026, 11, 27)),
        ("weekly/20261127.tar", "", (2026, 11, 27)),
        ("27.11.2026 03h15.sql", "%d.%m.%Y %Hh%M", (2026, 11, 27, 3, 15)),
        ("shop.dump", "", None),
        ("shop-20261399.dump", "", None),
        ("shop-20261127.dump", "%Y-%m-%d", None),
    ],
)
def test_the_time_in_a_name(name, form, wanted):
    assert moment_in(name, form) == (datetime(*wanted, tzinfo=UTC) if wanted else None)
