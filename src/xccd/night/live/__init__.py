"""A stack that grows as frames come from the telescope."""
