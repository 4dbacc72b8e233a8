"""How hosts, origins and the URLs of Redis are written, and what proxies say: pure text."""
