"""The language of drills and inventories: YAML with source positions, expressions, host patterns, and clear errors.

Lives here: strict reading of YAML, evaluation of `{{ }}` and `${ }`, budgets of expressions, explanations of errors,
shortened lists in sentences.
Lives elsewhere: the keys of drills and inventories (`plan.spec`, `inventory`).
"""
