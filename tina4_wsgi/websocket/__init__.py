"""One connection, from its 101 to its last close frame."""
