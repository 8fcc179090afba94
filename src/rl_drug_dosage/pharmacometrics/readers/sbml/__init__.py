"""The reader of SBML models."""
