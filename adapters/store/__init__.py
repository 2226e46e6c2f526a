"""The store: plans, change sets and history, as files."""
