"""Apply a plan: window by window, each in one transaction."""
