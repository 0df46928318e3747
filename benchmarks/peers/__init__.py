"""Other ways to do the same work, as contenders; what they need is imported when they are made."""
