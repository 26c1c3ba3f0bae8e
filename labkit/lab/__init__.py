"""JupyterLab as the lab wants it: a server extension and settings, installed with the package.

Both come with the wheel and work by themselves:

- `server.json`, installed in `etc/jupyter/jupyter_server_config.d`, makes the server load this module.
- `overrides.json`, installed in `share/jupyter/lab/settings/overrides.d`, keeps JupyterLab from asking other
  hosts for news and updates.

A user's own settings come after both. The lab itself is opened by `labkit lab`.
"""

from typing import Any

from labkit.lab.nodelay import without_delay

__all__ = ["without_delay"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "labkit.lab"}]


def _load_jupyter_server_extension(app: Any) -> None:
    settings, name = app.web_app.settings, "kernel_websocket_connection_class"
    settings[name] = without_delay(settings[name])
    app.log.info("labkit: kernel messages are sent without delay")
