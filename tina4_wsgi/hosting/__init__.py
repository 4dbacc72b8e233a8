"""Living under a WSGI server that somebody else wrote: taking its socket, noticing its stop,
checking the process.
"""
