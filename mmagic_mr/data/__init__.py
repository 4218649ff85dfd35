"""Data sets, their preparation, and how an image file becomes an input."""
