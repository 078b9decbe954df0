"""The benchmark: everything that is not a method."""
