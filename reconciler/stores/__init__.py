"""Stores: where a team's document lives. ``base.py`` is the contract, ``urls.py`` finds one."""
