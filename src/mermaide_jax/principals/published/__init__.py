"""Principals of published systems: one file a paper."""
