"""What every room may need: files, seeds, the runtime, loggers."""
