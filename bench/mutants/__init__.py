"""Mutation testing of the modules that decide: draws mutants by a seed, and reports those that no test detects."""
