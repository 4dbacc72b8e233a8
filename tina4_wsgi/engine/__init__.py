"""All connections of this process: who is in which group, who hears a broadcast, how everybody
leaves.
"""
