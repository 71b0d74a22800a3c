"""Showing: values in, text out. Nothing here prints, reads the clock, or looks at the terminal."""
