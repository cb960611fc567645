"""The `xccd` command."""
