"""Readers of models that other people wrote, one a format; each makes a `written.WrittenModel` of a file."""
