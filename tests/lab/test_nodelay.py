"""The server extension: kernel sockets do not wait, the rest of the connection stays as it was."""

import json
from pathlib import Path
from types import SimpleNamespace

import labkit.lab
from labkit.lab import without_delay

FOLDER = Path(labkit.lab.__file__).parent


class Websocket:
    def __init__(self):
        self.calls: list[object] = []

    def set_nodelay(self, value: bool) -> None:
        self.calls.append(("nodelay", value))


class Connection:
    def __init__(self, websocket: Websocket):
        self.websocket_handler = websocket

    def connect(self) -> str:
        self.websocket_handler.calls.append("connect")
        return "connected"


def test_nodelay_is_set_before_the_connection_is_made():
    websocket = Websocket()
    assert without_delay(Connection)(websocket).connect() == "connected"
    assert websocket.calls == [("nodelay", True), "connect"]


def test_the_extension_wraps_the_class_that_the_server_was_configured_with():
    settings = {"kernel_websocket_connection_class": Connection}
    app = SimpleNamespace(web_app=SimpleNamespace(settings=settings), log=SimpleNamespace(info=print))
    labkit.lab._load_jupyter_server_extension(app)
    assert issubclass(settings["kernel_websocket_connection_class"], Connection)
    assert settings["kernel_websocket_connection_class"] is not Connection


def test_the_servers_own_class_has_what_is_wrapped():
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

    assert callable(ZMQChannelsWebsocketConnection.connect)  # returns an awaitable
    assert without_delay(ZMQChannelsWebsocketConnection).__mro__[1] is ZMQChannelsWebsocketConnection


def test_the_installed_files_name_this_module_and_ask_nobody():
    server = json.loads((FOLDER / "server.json").read_text("utf-8"))
    (point,) = labkit.lab._jupyter_server_extension_points()
    assert server["ServerApp"]["jpserver_extensions"] == {point["module"]: True}
    overrides = json.loads((FOLDER / "overrides.json").read_text("utf-8"))
    assert overrides["@jupyterlab/apputils-extension:notification"] == {
        "fetchNews": "false", "checkForUpdates": False,
    }  # fmt: skip


def test_every_override_is_a_setting_of_the_installed_jupyterlab():
    from jupyter_core.paths import jupyter_path

    schemas = next(Path(path) for path in jupyter_path("lab", "schemas") if Path(path).is_dir())
    for plugin, values in json.loads((FOLDER / "overrides.json").read_text("utf-8")).items():
        package, _, name = plugin.partition(":")
        schema = json.loads((schemas / package / f"{name}.json").read_text("utf-8"))
        assert set(values) <= set(schema["properties"]), plugin
