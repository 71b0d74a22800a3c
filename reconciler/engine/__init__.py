"""Doing: read the API, apply a plan, settle what a crash left behind. Start with ``run.py``."""
