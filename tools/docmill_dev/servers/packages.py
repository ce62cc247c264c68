"""Where the packages that carry the servers' programs are installed.

They are found, not imported: importing them starts what they offer beside the programs (lock
files, clients of several tenths of a second), and of that nothing is used here.
"""

from importlib.util import find_spec
from pathlib import Path


def package_folder(name: str) -> Path:
    """The folder of an installed package; FileNotFoundError when it is not installed."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {name} is not installed")
    return Path(spec.origin).parent
