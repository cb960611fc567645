"""The bytes of files: local, packed, behind URLs."""
