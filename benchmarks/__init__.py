"""What produces the figures that the README states: `python -m benchmarks.run_all`."""
