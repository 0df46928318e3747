"""What is measured and how: contenders, cases, worker processes, blocks, statistics."""
