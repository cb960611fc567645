"""Where images are in a file, and their pixels."""
