"""Sources that are being made while one looks: a growing file, stdin, a URL. Shown is what came last; nothing is kept waiting."""
