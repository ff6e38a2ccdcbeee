"""The directory that transformers loads, but for the values of its weights."""
