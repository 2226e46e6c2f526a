"""The ledger: what Syncline remembers, in a database."""
