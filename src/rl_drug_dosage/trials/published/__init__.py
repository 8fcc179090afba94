"""One published in-silico trial a file, ``<author><year>.py``, which defines ``PUBLISHED``; values only."""
