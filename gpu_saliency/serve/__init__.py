"""The queue behind HTTP: a service that takes jobs, runs them with the batch's engine and shows them (docs/serve.md)."""
