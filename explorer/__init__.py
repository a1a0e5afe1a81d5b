"""The window: everything that is drawn and clicked. It imports ``engine``, never the reverse."""
