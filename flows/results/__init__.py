"""What a command did, as data: tables, rows that differ, and how it ended."""
