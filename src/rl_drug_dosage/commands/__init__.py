"""One command per file: parse, call one function, print. Heavy libraries are imported only when the function runs."""
