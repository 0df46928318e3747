"""Meta-training of a principal: one update as a pure function, and the loop around it."""
