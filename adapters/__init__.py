"""Where: all I/O. Databases, the ledger and the plan store."""
