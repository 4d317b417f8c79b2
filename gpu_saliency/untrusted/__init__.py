"""Reads files of any origin with bounds: regular files only, strict JSON, checked schemas, zip members of a known size."""
