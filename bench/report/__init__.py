"""What people read: figures, LaTeX and the report."""
