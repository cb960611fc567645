"""Pixels on the sky. No verb."""
