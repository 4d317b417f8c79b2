"""The durable queue: jobs and their states in an SQLite database, which one run at a time works on."""
