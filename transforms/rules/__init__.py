"""Row rules, compiled to masks over Arrow columns."""
