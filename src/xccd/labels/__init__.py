"""What xarray carries: names, flags, keywords, history. The only folder that touches xarray's internals."""
