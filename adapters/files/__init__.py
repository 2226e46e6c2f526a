"""Files that are read as tables: Parquet, CSV, JSON lines and Arrow."""
