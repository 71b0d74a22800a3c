"""The version, on its own: everybody may import it."""

__version__ = "0.1.0"
