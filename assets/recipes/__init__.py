"""Recipes that build the shipped assets from their sources; never needed at run time."""
