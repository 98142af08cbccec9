"""The catalogue of files that ship with Drillbook: drills, suites, diagnosis trees, alert rules, inventories and Docker
lab files.

Lives here: finding the shipped files in a wheel or a checkout, and the purpose, needs and duration of each entry.
Lives elsewhere: the files themselves (top-level `drills/`, `inventory/` and `lab/`, copied when a wheel is built), the
task `catalog` and the copying into projects (`cli`).
"""
