"""Follow what changes: from keys that feeds tell of to plans of these keys, until it is stopped."""
