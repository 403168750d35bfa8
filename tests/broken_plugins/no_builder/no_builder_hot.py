"""Holds no build."""
