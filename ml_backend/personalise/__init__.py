"""Several photos of one person make a model of that person."""
