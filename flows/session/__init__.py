"""What a process needs to work: open sides, snapshots, tries, locks."""
