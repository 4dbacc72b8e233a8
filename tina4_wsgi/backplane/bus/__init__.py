"""The processes of one machine, linked without a broker."""
