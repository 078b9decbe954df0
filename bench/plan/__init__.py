"""What a command asks for, as a list of cells: suites, options and methods resolved, every wrong name refused."""
