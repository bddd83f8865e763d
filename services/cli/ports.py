"""Free ports on loopback."""

import socket


def free_ports(count: int) -> list[int]:
    """Finds ports that are free now.

    Args:
        count: how many.

    Returns:
        Distinct ports. All are held until the last is found; another program may still take one before it is
        used, so whoever uses them must notice a server that does not come up.
    """
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
