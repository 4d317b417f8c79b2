"""This process and those it starts: signals, child programs, temporary folders, standard streams."""
