"""The spec bound to the live schemas of both sides: names resolved, types checked, tables in order."""
