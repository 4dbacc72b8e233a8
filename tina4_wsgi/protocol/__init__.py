"""The wire, without a socket and without a clock: RFC 6455 as bytes in, events and bytes out."""
