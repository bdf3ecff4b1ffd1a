"""What application and server agree on beside WSGI. It imports nothing, since the
server is loaded before the standard library is patched."""

HEAD = "moonpool.head"
"""Where in the WSGI environment the application may leave response header lines as bytes, each with
its CRLF: those that every answer has, and that need no check of their own."""

LAST = "moonpool.last"
"""Set in the WSGI environment by a stream whose next piece is its last, which is then sent together
with the end of the body."""
