"""Prove it: checkpoints, totals, orphans, and schemas that drifted."""
