"""Measures what the product promises: `build.py bench` prints the tables."""
