"""Arrays in, arrays out: intervals, curves, areas, tests and metrics; no file, no table, no method's name."""
