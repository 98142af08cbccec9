"""Broken backups, and who notices: Drillbook beside the tools' own exit statuses and checks, `invoke bench.detection`."""
