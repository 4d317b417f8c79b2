"""Many encodes: a durable queue, the two stages of each job, and an engine that runs them in other processes (docs/batch.md)."""
