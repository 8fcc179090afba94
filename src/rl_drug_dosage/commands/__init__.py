"""One command a file: parse, call one function, print. Nothing heavy is imported before the function runs."""
