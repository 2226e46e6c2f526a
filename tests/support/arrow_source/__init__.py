"""An engine that is only read, for tests."""
