"""What the foreign keys of the target would do with deletes and changed values: planned, or refused."""
