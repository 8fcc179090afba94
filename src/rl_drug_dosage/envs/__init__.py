"""Decision processes. A module without a leading underscore is an environment; it defines ``ENV``."""
