"""Header text in, text out. Opens no file."""
