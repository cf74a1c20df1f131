"""`earwitness serve`: a model as a service, and a page in the browser."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import remark
from earwitness.service.settings import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve a model: a page to drop sounds on, and addresses for programs (/docs lists them). Ctrl-C stops it."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    settings: Annotated[ServiceSettings, arg(name="")] = field(default_factory=ServiceSettings)
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""

    def run(self) -> int:
        """Serve until stopped."""
        from earwitness.service.serving import serve

        def say(address: str, _: object) -> None:
            if not _is_of_this_machine(self.settings.host) and self.settings.api_key_file is None:
                remark(f"note: --host {self.settings.host} lets other machines in; --api-key-file asks them for a key")
            print(f"{self.model.name} is served at {address} (Ctrl-C stops it)", flush=True)

        serve(self.model, self.settings, device=self.device, on_ready=say)
        remark("stopped")
        return 0


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
