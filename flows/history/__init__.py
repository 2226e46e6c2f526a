"""What was applied: versions, undo, quarantine, recovery."""
