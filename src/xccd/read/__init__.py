"""Files to stacks."""
