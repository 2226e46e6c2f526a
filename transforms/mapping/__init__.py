"""From source rows to target rows: expressions, casts, lookups, limits."""
