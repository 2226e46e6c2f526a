"""Compare two tables, views or queries that no spec names: rows by key, and nothing is written."""
