"""A plan carried out: masters, lights, what is up to date."""
