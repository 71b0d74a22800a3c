"""State: what a document means (``document.py``) and how it is encoded (``codec.py``)."""
