"""What tests share: checks for what is left behind, servers to start, a raw WebSocket client."""
