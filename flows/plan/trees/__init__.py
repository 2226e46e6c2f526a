"""One row and all that hangs below it, as keys of each table."""
