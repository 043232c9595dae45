"""Synthetic portraits of the open head with their whole truth, as many as training asks for."""
