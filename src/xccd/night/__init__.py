"""A night at the telescope: frames that come one after another."""
