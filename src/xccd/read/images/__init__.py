"""The images of a file: their place and their pixels."""
