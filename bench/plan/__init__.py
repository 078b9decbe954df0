"""From a suite and a command line to cells."""
