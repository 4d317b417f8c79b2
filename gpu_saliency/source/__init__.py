"""Sources: probes a file, decodes its frames, chooses samples, shrinks them, and seeks single frames."""
