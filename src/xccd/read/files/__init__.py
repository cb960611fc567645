"""The bytes of files: local, packed, or behind URLs."""
