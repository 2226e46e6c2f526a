"""What lookups may find while a plan is made: the table itself, identity maps, numbers of new rows."""
