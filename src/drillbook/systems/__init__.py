"""Systems: one package for each system that Drillbook backs up, breaks, restores or queries; found by discovery.

Lives here: service kinds, actions, probes and all knowledge of one system; the same file names in each package.
Lives elsewhere: the interfaces for systems (`sdk`). No package above imports a system by its name.
"""
