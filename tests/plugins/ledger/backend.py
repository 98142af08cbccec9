"""Build the wheel from `pyproject.toml` with nothing but Python, since tests have no network, and may have no build
tool.
"""

import tomllib
import zipfile
from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    described = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name, version = described["name"].replace("-", "_"), described["version"]
    info = f"{name}-{version}.dist-info"
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in group_points.items())
        for group, group_points in described["entry-points"].items()
    )
    files = {str(path): path.read_text() for path in sorted(Path(name).rglob("*")) if path.suffix in (".py", ".yml")}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = points
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, wheel), "w") as made:
        for path, text in files.items():
            made.writestr(path, text)
    return wheel
