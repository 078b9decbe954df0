"""From traces to CSV; a file is named after the table it writes."""
