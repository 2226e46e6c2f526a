"""Which rows of a database may have changed."""
