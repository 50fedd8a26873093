"""What a manager's page says about the manager, for times when its heartbeat cannot be written."""

import http.client
import json
from collections.abc import Mapping

from manager.model.processes import Process
from manager.report.status_document import NOT_RUNNING

PROGRAM = "manager"
LIMIT_S = 1.0
"""Time limit for a page that is ready, on the same machine."""

_MOST_BYTES = 64 * 1024 * 1024


def is_ours(said: Mapping[str, str], process: Process | None, fleet_file: str) -> bool:
    """Whether a page belongs to this fleet's manager: another fleet's manager may use this port.

    Args:
        said: See ``read_page``. A manager on standby says nothing about itself.
        process: The process of our manager; None if it is not known.
        fleet_file: The path of the fleet file.
    """
    if process is None or not process.alive:
        return said.get("fleet_file") == fleet_file
    return said.get("pid") == str(process.pid) or said.get("state") == NOT_RUNNING


def read_page(port: int) -> dict[str, str]:
    """The manager's own fields on the page ``/status`` of a loopback port; empty where there is no such page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/status")
        found = json.loads(connection.getresponse().read(_MOST_BYTES))["manager"]
        return {str(name): str(value) for name, value in found.items()}
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return {}
    finally:
        connection.close()
