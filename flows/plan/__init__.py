"""Make a plan: read both sides, map, diff, and write down what would change."""
