"""A night at the telescope: its frames as a table, its plan, its products, and frames as they come."""
