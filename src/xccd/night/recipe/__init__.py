"""Every choice in the reduction of a night, as data and as text."""
