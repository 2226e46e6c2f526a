"""Documents (YAML, JSON, TOML, INI, .env) as tables of paths and values, written back with their comments, order and layout."""
