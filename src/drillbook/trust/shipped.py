"""Digests of the statements in Drillbook's own drills and diagnosis trees.

A user who runs Drillbook trusts these statements too. They are also trusted in copies of these files.
"""

SHIPPED: frozenset[str] = frozenset(
    {
        "00fa773a34316a92fcc31af88829c0d974e29e6e7661080c9c81261fd239e042",
        "0d85431445392c9fc10d3f96d44c48472998d7cde714697b814bc82065d2e8c8",
        "3038b9a75577c2a1a780cee2dc04f903e57dbf63c7ef079841de91dac649c268",
        "33f36d70e2e8253df41472cfcb7b5db6ac555ca946028e49ab9de4eb847a677d",
        "43198373a4ffdbc76071e44be990bafd2f99deedfd40d4aea771f67c670df63d",
        "554f1f8a59f43a03ba602c23223c2972c8368a8fb1c39da6f88e0032009510e8",
        "5e91f06e074b137b36cf733358ebabfb4278008c07997da2a7dc15f8cc3c63d8",
        "61914d1d79d78edb1e454c3b99cc180254bac8f369cb7a35eb3ce7630520bf38",
        "69cfcd596b65bb4fed2be565a8628bb15eb48e222c10c905d9b73a16687e4a5c",
        "6fc99f3bf98779afaf26878983499fb80dbbb3cb4d384955cde61f7bd61b5bcf",
        "74913135b8a81bcf6460f405a6d1ee88068e0a932266e159020318d143a8f099",
        "77c252140cbed0f39947577ce9595bbcc080e27f208cca28331f9fe501f2b0b8",
        "901d8ba2e0b91e2ee23e9c2bfbb839155bf66e4b05642cb02f90274f40d3f1ed",
        "a56ab91ded0dfc4e152e5d130b7d1aed9e33024381be3fe32fa941a33a20544a",
        "d127e02ad65a57e9fd25fee6d204ffac7cdb616332ebc7a94edada4987c37cce",
        "de8ab87411ebd404f2f18fbcb1b63b331a81568f089ed203fe6fd8fc461e61a7",
        "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5",
        "e4e7272961e9312366ba1240df7d208821096f7e538d509d6f7efcb92409773a",
        "e8ec7e4d6ee3c4366b7256ed005bd77788888a2c672806c2c11f576a5a1dde86",
        "fdd34280ab4d4426796d0ba9973fb03d85c7468d5825fa68a399641dc4185210",
    }
)
"""SHA-256 digests of the statements in Drillbook's own drills and diagnosis trees. The tests in `tests/trust/test_items.py`
verify that the list is complete.
"""
