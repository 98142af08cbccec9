"""Generator of the page about the journal; `tests/repository/test_docs.py` compares the page with it."""

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events import page
from drillbook.events.content import Content, Json
from drillbook.events.kinds import KINDS


class OfMoon(Content):
    """Base of the moon's events."""

    PLACE: ClassVar[str] = "host"

    phase: Annotated[str, Field(description="Phase of the moon.")]


class MoonRose(OfMoon):
    """The moon rose.

    It is
    round.
    """

    KIND: ClassVar[str] = "moon.rose"

    over: Annotated[tuple[str, ...] | None, Field(description="Places.")]
    from_: Annotated[Json | None, Field(serialization_alias="from", description="Origin.")] = None
    height: Annotated[int | float, Field(description="Height.")] = 0


class MoonSet(Content):
    """The moon set."""

    KIND: ClassVar[str] = "moon.set"


def test_a_kind_has_its_text_its_place_and_its_own_fields_first():
    assert page._kind(MoonRose) == (
        "#### `moon.rose`\n\nThe moon rose. It is round. Names host.\n\n"
        "| field | | meaning |\n|---|---|---|\n"
        "| `over` | list or null | Places. |\n"
        "| *`from`* | object or null | Origin. |\n"
        "| *`height`* | integer or number | Height. |\n"
        "| `phase` | text | Phase of the moon. |\n"
    )


def test_a_kind_without_fields_has_no_table():
    assert page._kind(MoonSet) == "#### `moon.set`\n\nThe moon set.\n"


def test_the_page_has_each_kind_once_below_the_title_of_its_module():
    lines = page.page().splitlines()
    assert [line for line in lines if line.startswith("#### ")] == [f"#### `{kind}`" for kind in KINDS]
    titles = [line for line in lines if line.startswith("### ")]
    assert titles[0] == "### Events about a run as a whole"
    assert len(titles) == len(set(titles)) == 5
    assert lines[0] == "# The journal"
    assert "## The attestation" in lines
