"""The directory that transformers loads, apart from the values of its weights."""
