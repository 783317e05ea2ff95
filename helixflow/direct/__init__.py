"""The direct way from an Ingress to a Model replica on the same machine: a Unix socket.

A call through a Serve handle costs about two milliseconds of CPU, and every chunk of a stream pays
for it again. A replica therefore also opens a *door*, a socket file that only its own user can
reach; an Ingress on the same machine calls there. Where there is no door (another machine, another
version, a replica that is coming or going) the Serve handle is used, so nothing depends on doors.

`wire.py` cuts bytes into messages, `place.py` says where doors are, `door.py` is the replica's side,
`channel.py` and `doors.py` are the Ingress's. docs/decisions/0014 says why and what was weighed.
"""
