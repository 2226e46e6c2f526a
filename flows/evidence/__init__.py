"""The evidence of a run: a record in JSON, and pages to read."""
