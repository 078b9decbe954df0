"""Performance, measured as ratios of two things that run in the same process on the same machine."""
