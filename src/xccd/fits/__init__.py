"""FITS in and out: headers as text, pixels by position, products written whole or not at all."""
