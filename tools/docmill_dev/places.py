"""Where things are: the checkout that this package was installed from, its data, its examples."""

from pathlib import Path


def checkout() -> Path | None:
    """The root of the checkout; None when the package was installed from a wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "examples" / "questions.json").is_file() else None


def data_directory() -> Path:
    """Where a run keeps its data: the same from every folder of the machine."""
    return (checkout() or Path.cwd()) / ".docmill"


def examples() -> Path:
    """The folder of example documents."""
    root = checkout()
    if root is None:
        raise FileNotFoundError("The examples are part of docmill's repository, not of this wheel.")
    return root / "examples"
