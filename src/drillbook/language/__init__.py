"""The language of drills and inventories: YAML with places, expressions, host patterns, and what a mistake was meant to be.

Lives here: strict reading of YAML, `{{ }}` and `${ }`, budgets of expressions, explanations of validation errors.
Lives elsewhere: what a drill or an inventory contains (`plan.spec`, `inventory`).
"""
