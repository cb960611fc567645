"""What there is in files, and what is wrong with them."""
