"""Evaluation: the K-shot protocol, scores and intervals."""
