"""All machines, through Redis or Valkey."""
