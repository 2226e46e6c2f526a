"""`scaffold`: a draft spec out of a live schema."""
