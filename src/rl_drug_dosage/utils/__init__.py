"""Utilities for all packages: files, seeds, the runtime, loggers."""
