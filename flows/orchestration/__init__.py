"""Prefect: flow runs, tasks and artifacts."""
