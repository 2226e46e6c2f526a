"""When: the spec, the runbook, the command line and the Prefect flows."""
