"""A backbone with exits: loaded, trained, traced."""
