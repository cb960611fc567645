"""Which products a night gives, and of which frames and masters."""
