"""Labelled images to files, whole or not at all."""
