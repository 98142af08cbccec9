"""Campaigns. A campaign runs one drill or suite on many sites, in waves. Each site is drilled at most once, and no site
is forgotten.

Lives here: sites files, the scheduler, journals of campaigns, executors, results and reports of campaigns.
Lives elsewhere: the run of one site (`engine`, `cli`), its report (`report`), the task `campaign` (`cli`).
"""
