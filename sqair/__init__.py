"""Sequential Attend, Infer, Repeat: find, follow and explain the objects of a video without labels."""

__version__ = "0.1.0"
