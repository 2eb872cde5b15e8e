"""The version of this package, apart so that anything can read it without loading Dagster."""

__version__ = "1.0.0"
