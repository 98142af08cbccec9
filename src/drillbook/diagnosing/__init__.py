"""Diagnosis: decision trees over reading actions, asked all at once under one deadline, and causes ranked by what was seen.

`tree` is the tree as data, `source` reads it from its file, `scope` applies trees to the services of an inventory,
`gather` carries out the checks, `ranking` weighs causes by what they showed, `diagnosis` is the one way through.
"""
