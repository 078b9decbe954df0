"""Where rows and checkpoints come from: a folder, the hub, or generated."""
