"""The version of the package, in a module without imports, so that build tools can read it."""

__version__ = "0.2.0"
