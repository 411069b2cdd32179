"""Builds the package with the notebooks and the Snakefile, which are beside it in a checkout."""

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py


class WithParts(build_py):
    """setuptools' build step, which also copies the parts; an editable install finds them in the checkout."""

    def run(self) -> None:
        if not self.editable_mode:
            # modules of an earlier state would be packaged too
            shutil.rmtree(Path(self.build_lib) / "xit_core", ignore_errors=True)
        super().run()
        for part in [] if self.editable_mode else parts():
            target = Path(self.build_lib) / "xit_core" / part
            self.mkpath(str(target.parent))
            self.copy_file(str(part), str(target))

    def get_source_files(self) -> list[str]:
        """The files of a source distribution."""
        return [*super().get_source_files(), *map(str, parts()), "tools/build.py"]


def parts() -> list[Path]:
    return [Path("Snakefile"), *sorted(Path("notebooks").glob("[0-9]*.ipynb"))]
