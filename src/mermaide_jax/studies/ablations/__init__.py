"""Ablations: what each part of MERMAIDE is worth, one part changed at a time."""
