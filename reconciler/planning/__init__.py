"""Deciding. Everything here is pure: values in, values out, today's date included."""
