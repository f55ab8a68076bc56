"""Write the folder of a new submission, which already trains."""

import re
from importlib.util import find_spec
from pathlib import Path

from benchmark.harness.submission import MANIFEST, read_manifest

TEMPLATE = Path(__file__).parent / "template"
NAME, MODULE = "my-algo", "my_algo"  # as they stand in the template


def new_submission(name: str, parent: Path, taken: Path) -> Path:
    """Write ``<parent>/<name>`` from the template and return it.

    Args:
        name: of the submission.
        parent: where its folder goes.
        taken: folder of published submissions, whose names are not to be used again.

    Raises:
        ValueError: if the name cannot be one, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-+_.][a-z0-9]+|\+\+)*", name) or len(name) > 64:
        raise ValueError(
            f"name={name!r} must be at most 64 lower-case letters and digits, in words separated by '-', '_', '+' or "
            "'.', such as my-algo"
        )
    module = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    if (taken / name / MANIFEST).exists():
        raise ValueError(f"name={name!r} is that of a published submission; choose another")
    if find_spec(module) is not None:
        raise ValueError(f"name={name!r}: a module named {module!r} is installed and would be hidden; choose another")
    folder = parent / name
    if folder.exists():
        raise ValueError(f"{folder} exists; nothing is overwritten")
    folder.mkdir(parents=True)
    for file in sorted(TEMPLATE.iterdir()):
        if file.is_file():
            text = file.read_text(encoding="utf-8").replace(MODULE, module).replace(NAME, name)
            (folder / file.name.replace(MODULE, module)).write_text(text, encoding="utf-8")
    assert read_manifest(folder / MANIFEST).name == name
    return folder
