"""How many files and connections this process may have open at once, and whether what is configured fits.

An edge without a free descriptor cannot take a panel's call, write a siren's file or find its broker again, and whoever
reaches a link can open connections. So the limit is raised as far as it goes at the start, and the links together may
not take what the edge needs for itself.
"""

import resource

from edge.config import Config
from edge.link_config import HttpServer, connections_max
from edge.listener import HANDSHAKES_MAX

KEPT = 128  # spool, log, broker, metrics, and what is opened for a moment
KEPT_FOR_LINK = 8  # its port, and connections that are being refused
KEPT_FOR_ACTUATOR = 2


def raise_limit() -> int:
    """Raise the soft limit to the hard one; how many may be open then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


def refusal(config: Config, open_max: int) -> str:
    """Why the links may take too many: key, value, what is allowed; "" when all is well."""
    if open_max == resource.RLIM_INFINITY:
        return ""
    asked = sum(connections_max(link) for link in config.links)
    kept = KEPT + KEPT_FOR_LINK * len(config.links) + KEPT_FOR_ACTUATOR * len(config.actuators)
    kept += sum(HANDSHAKES_MAX for link in config.links if isinstance(link, HttpServer) and link.tls_certificate_file)
    if asked <= open_max - kept:
        return ""
    return (
        f"links.connections_max: {asked} in sum; at most {max(open_max - kept, 0)}, because this process may open "
        f"{open_max} files and keeps {kept} for itself (hard limit: ulimit -Hn, or LimitNOFILE= of systemd)"
    )
