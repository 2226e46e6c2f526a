"""Read both sides for a plan: which windows, which keys, and what is left out before rows are compared."""
