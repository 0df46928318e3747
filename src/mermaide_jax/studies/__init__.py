"""Protocols with a config, runs and tables: one package a study, and the kit they share."""
