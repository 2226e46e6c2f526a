"""Parquet as a target: tables as folders of parts, replaced whole."""
