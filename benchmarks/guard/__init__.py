"""A guard against slower programs that needs no clock: what compiled programs are made of."""
