"""What rows refer to, and what refers to them, in the target as it is and as a plan leaves it."""
