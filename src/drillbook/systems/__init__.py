"""Systems: one package for each thing that Drillbook backs up, breaks, restores or asks; found by discovery.

Lives here: service kinds, actions, probes and all knowledge of one system; the same file names in each package.
Lives elsewhere: what every system is written against (`sdk`). No package above imports a system by its name.
"""
