"""Fields that several actions share: names of tables, and conditions that never mean every row."""

import pytest
from pydantic import TypeAdapter, ValidationError

from drillbook.systems.postgres.actions.fields import Condition, TableName

NAME, WHERE = TypeAdapter(TableName), TypeAdapter(Condition)


@pytest.mark.parametrize("text", ["orders", "sales.orders", '"Odd Schema"."Table ""x"".%s"'])
def test_a_name_stays_as_it_was_written(text):
    assert NAME.validate_python(text) == text


@pytest.mark.parametrize("text", ["", "a; DROP TABLE b", "a.b.c.d", '"open'])
def test_a_text_that_is_no_name_of_a_table_is_refused(text):
    with pytest.raises(ValidationError, match="not the name of a table"):
        NAME.validate_python(text)


def test_a_condition_is_needed():
    assert WHERE.validate_python("id > 7") == "id > 7"
    for empty in ("", " \n\t"):
        with pytest.raises(ValidationError, match="every row would be deleted"):
            WHERE.validate_python(empty)
