"""Wrinkles that follow the expression: node groups for tension, displacement and shading, without Python per frame."""
