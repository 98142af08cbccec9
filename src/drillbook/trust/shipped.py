"""Statements in the drills and trees that Drillbook ships: they are as trusted as Drillbook, wherever they are copied to."""

SHIPPED: frozenset[str] = frozenset(
    {
        "00fa773a34316a92fcc31af88829c0d974e29e6e7661080c9c81261fd239e042",
        "0d85431445392c9fc10d3f96d44c48472998d7cde714697b814bc82065d2e8c8",
        "69cfcd596b65bb4fed2be565a8628bb15eb48e222c10c905d9b73a16687e4a5c",
        "74913135b8a81bcf6460f405a6d1ee88068e0a932266e159020318d143a8f099",
        "77c252140cbed0f39947577ce9595bbcc080e27f208cca28331f9fe501f2b0b8",
        "901d8ba2e0b91e2ee23e9c2bfbb839155bf66e4b05642cb02f90274f40d3f1ed",
        "d127e02ad65a57e9fd25fee6d204ffac7cdb616332ebc7a94edada4987c37cce",
        "de8ab87411ebd404f2f18fbcb1b63b331a81568f089ed203fe6fd8fc461e61a7",
        "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5",
    }
)
"""Digests of these statements; `tests/trust/test_items.py` tells which belong here."""
