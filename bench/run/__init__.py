"""Cells on workers."""
