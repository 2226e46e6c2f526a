"""What SQL engines share."""
