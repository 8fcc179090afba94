"""One published model a file, which defines ``DRUG``: numbers with unit and source."""
