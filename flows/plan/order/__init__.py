"""In which order, and in how many steps, rows are written so that every constraint holds."""
