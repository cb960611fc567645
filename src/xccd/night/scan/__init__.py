"""A table of frames from their headers."""
