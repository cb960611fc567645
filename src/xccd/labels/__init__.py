"""What xarray objects carry: names, flags, keywords, history. The only folder that uses xarray's internals."""
