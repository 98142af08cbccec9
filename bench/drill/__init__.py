"""Complete drills compared with other tools that run the same commands on the same hosts, in turn in one run."""
