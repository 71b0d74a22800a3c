"""YAML text to plain data, for world files only: PyYAML's safe loader, and duplicate keys are refused."""

from collections.abc import Hashable
from typing import Any

import yaml

from reconciler.sandbox.settings import SceneError


class _Loader(yaml.SafeLoader):
    """The safe loader, which would let the last of two equal keys win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise SceneError(f"line {key_node.start_mark.line + 1}", f"{key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """The data of one YAML document. Raises SceneError with the line."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader: only plain data comes out
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SceneError(line, f"not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError("", f"not YAML: {error}") from error
