"""The run folder and its files, whole or not at all."""
