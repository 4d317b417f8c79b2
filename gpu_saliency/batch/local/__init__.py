"""The local engine: worker processes of this program, each with one job at a time."""
