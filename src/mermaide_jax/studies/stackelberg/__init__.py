"""The Stackelberg experiment: meta-learned, pre-trained and fresh principals."""
