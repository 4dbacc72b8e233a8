"""All connections of this process: their groups, their broadcasts, and how they leave."""
