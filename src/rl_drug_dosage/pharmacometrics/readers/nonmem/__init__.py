"""The reader of NONMEM control streams."""
