"""The sample application of the lab: a document API such as the one that the handbook is about."""
