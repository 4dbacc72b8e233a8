"""Our own server, and what running any app by it takes."""
