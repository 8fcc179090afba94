"""The reader of rxode2 and nlmixr2 models."""
