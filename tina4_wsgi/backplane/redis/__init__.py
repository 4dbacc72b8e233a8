"""Links the processes of all machines through Redis or Valkey."""
