"""Drawings of stacks."""

import xml.etree.ElementTree as ET

from drillbook.systems.linux import flamegraph


def test_names_of_a_target_are_text_in_the_drawing():
    drawing = flamegraph.svg({("<script>alert(1)</script>", 'b"\x00\x1b\ud800 & c'): 3, ("thin",): 1}, "<b>title</b>")
    assert "<script" not in drawing
    assert [one.text for one in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}title")][:2] == [
        "<b>title</b>",
        "all: 4 samples, 100.0 %",
    ]
    assert ET.fromstring(flamegraph.svg({}, "nothing")).tag.endswith("svg")
