"""What a run leaves on disk: schema, files, records, provenance and findings."""
