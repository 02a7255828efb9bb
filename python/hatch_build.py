"""Checks, before a wheel is packed, that the JavaScript that it carries has been built."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NeedsJavaScript(BuildHookInterface):
    """`npm run build:wheel` builds the JavaScript, puts it into the package and then calls hatchling."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Raise where the package carries no JavaScript."""
        if not (Path(self.root) / "src/scpoli/_node/dist/cli.js").exists():
            raise RuntimeError(
                "The JavaScript is not there. Run `npm ci && npm run build:wheel` in the repository."
            )
