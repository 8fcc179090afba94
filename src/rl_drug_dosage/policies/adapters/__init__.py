"""Makes policies from model files, callables, agents of other libraries, and regimens written as text."""
