"""Reporting: results files, summary tables and figures (needs the `experiments` extra)."""
