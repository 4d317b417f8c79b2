"""Sources: probe a file, decode its frames, sample, shrink and seek them."""
