"""Memory that a Python process holds, as memray and tracemalloc report it."""

import json
import xml.etree.ElementTree as ET

import pytest

from drillbook.systems.linux import allocations


def test_places_of_a_target_are_text_and_add_up():
    seen = allocations.of_memray(
        json.dumps(
            {
                "held_bytes": 1000,
                "held_allocations": 9,
                "peak_bytes": 2000,
                "seconds": 1.5,
                "places": [["<script>\x1b", "/" + "x" * 500 + "/f.py", 1], ["outer", "g.py", 2]],
                "rows": [[600, 3, [0, 1]], [200, 2, [0]], [100, 1, []]],
            }
        )
    )
    facts = allocations.summary(seen, 2)
    assert [(row["bytes"], row["allocations"], row["share"]) for row in facts["places"]] == [(800, 5, 0.8), (100, 1, 0.1)]
    assert facts["largest"].startswith("<script>\\x1b (...x")
    assert facts["largest"].endswith("/f.py:1)")
    assert facts["places"][1]["where"] == "(outside of Python)"
    drawing = allocations.drawing(seen, "title")
    assert "<script" not in drawing
    assert "outer (g.py:2): 600 bytes, 66.7 %" in [
        one.text for one in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}title")
    ]


def test_a_drawing_stays_small(monkeypatch):
    monkeypatch.setattr(allocations, "LARGEST_DRAWING", 20_000)
    held = tuple(allocations.Held((f"a{n} (f.py:1)", f"b{n} (f.py:2)"), 1000 - n, 1) for n in range(500))
    drawing = allocations.drawing(allocations.Seen(held, 1, 1, 1, 1.0), "title")
    assert 1000 < len(drawing) <= 20_000
    assert "a0 (f.py:1)" in drawing


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"places": [[1]], "rows": []}', '{"places": [], "rows": [[1, 2, [5]]]}', "[" * 100_000]
)
def test_what_is_no_list_of_allocations_is_told(text):
    with pytest.raises(ValueError):
        allocations.of_memray(text)
    with pytest.raises(ValueError):
        allocations.of_tracemalloc(text.encode())
