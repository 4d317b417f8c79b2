"""The user's settings in a TOML file: defaults of the command line, and named profiles of them."""
