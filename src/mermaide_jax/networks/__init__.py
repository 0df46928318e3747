"""Networks of principals: heads, networks over arms, and the pair of world model and policy."""
