"""Campaigns: one drill or suite over many sites, in waves; each site is drilled at most once, and none is forgotten.

Lives here: sites files, the scheduler, the campaign's journal, child processes and Dask, results and reports of campaigns.
Lives elsewhere: the run of one site (`engine`, `cli`), its report (`report`), the task `campaign` (`cli`).
"""
