"""Links the processes of one machine without a broker."""
