"""From a handshake to an adopted connection, or to a refusal."""
