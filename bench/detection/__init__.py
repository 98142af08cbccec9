"""Detection of broken backups: Drillbook compared with the exit statuses and checks of other tools, `invoke
bench.detection`.
"""
