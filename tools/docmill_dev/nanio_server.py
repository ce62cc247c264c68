"""``python -m docmill_dev.nanio_server FOLDER PORT REGION``: nanio, for browsers as well.

A page may send its files to a store of another origin only if that store says so (CORS), and nanio
says nothing. This answers in its place: whoever has a presigned URL may use it from any page.
"""

import sys
from pathlib import Path

import uvicorn
from nanio.app import build_app
from nanio.auth.credentials import EnvCredentialResolver
from nanio.config import Settings
from nanio.logging import setup_logging
from starlette.middleware.cors import CORSMiddleware


def main(folder: str, port: str, region: str) -> None:
    """Serve until SIGTERM. The keys are in ``NANIO_ACCESS_KEY`` and ``NANIO_SECRET_KEY``."""
    setup_logging("info")
    settings = Settings(data_dir=Path(folder), region=region, credentials=EnvCredentialResolver())
    app = CORSMiddleware(
        build_app(settings),
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "PUT"],
        allow_headers=["*"],
        expose_headers=["ETag"],
    )
    # No access log: it would hold the signatures of presigned URLs.
    uvicorn.run(app, host="127.0.0.1", port=int(port), access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
