"""Living under other people's WSGI servers: their sockets, their stops, their processes."""
