"""Plans of both sides out of one reconciling."""
