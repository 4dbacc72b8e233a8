"""How hosts and origins are written, and what proxies say of both: pure text."""
