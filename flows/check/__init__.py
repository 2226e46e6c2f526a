"""`check`: what a run would meet, found without writing."""
