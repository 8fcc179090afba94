"""One clinical policy a file, which defines ``POLICY``; `adapters` makes policies of what other people bring."""
