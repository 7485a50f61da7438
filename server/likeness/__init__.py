"""Likeness: a few photos of a person in, thirty avatars in five styles out."""

from importlib.metadata import version

__all__ = ["__version__"]
__version__ = version("likeness")
