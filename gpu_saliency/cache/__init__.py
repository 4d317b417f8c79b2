"""The cache folder: files kept by content, bounded in bytes, private to the user, shared by any number of processes."""
