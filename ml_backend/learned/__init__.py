"""Networks that read a head off a photo, and what they need: crops, codes, weights files."""
