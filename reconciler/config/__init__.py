"""READ: files to what is desired. ``desired.load`` is the way in."""
