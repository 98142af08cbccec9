"""Actions `s3.*`, in one module for each group.

Lives here: copies of objects, faults, single objects, and older versions.
Lives elsewhere: the program that reads objects on a host (`systems.s3`), the client of a store (`sdk`).
"""
