"""What one gevent hub does for the owners of its sockets: turns, workers, deadlines, calls."""
