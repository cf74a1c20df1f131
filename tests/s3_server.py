"""An S3 server of this machine (moto), and what it was asked for. `conftest.py` makes the fixture known."""

import urllib.request
from collections import Counter

import pytest


class Requests:
    """What the server was asked for."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def counts(self) -> Counter:
        """Requests by method."""
        return Counter(line.split()[0] for line in self.lines)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server with one bucket, which this process and its children use."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'earwitness[s3]'")
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'earwitness[test]'")
    import s3fs
    import werkzeug.serving
    from moto.server import ThreadedMotoServer

    requests = Requests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            werkzeug.serving.WSGIRequestHandler,
            "log_request",
            lambda handler, *_: requests.lines.append(
                f"{handler.command} {handler.path} {handler.headers.get('Range', '')}"
            ),
        )
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        moto.start()
        _, port = moto.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        s3fs.S3FileSystem.clear_instance_cache()  # those of another server
        s3fs.S3FileSystem(use_listings_cache=False).mkdir("bucket", region_name="")
        yield requests
        reset = urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()  # what it holds outlives it
        moto.stop()
