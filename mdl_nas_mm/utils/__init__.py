"""Helpers that belong to no one part: the check of an environment."""
