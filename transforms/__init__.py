"""What: pure functions, Arrow in and Arrow out. No I/O, no clock, no logging."""
