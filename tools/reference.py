"""Write ``docs/reference`` from the code: commands, recipe keys, the bundle's format, Python.

python tools/reference.py
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import edge_fgir
from edge_fgir._files import write_atomic
from edge_fgir.cli import app
from edge_fgir.runs import Recipe
from edge_fgir.runtime import Calibration, Golden, Manifest, Preprocess

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

_MADE = "Made from the code by `tools/reference.py`; change it there."


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    return {
        "cli.md": _joined(commands_page()),
        "recipe.md": _joined(recipe_page()),
        "bundle.md": _joined(bundle_page()),
        "api.md": _joined(api_page()),
    }


def _joined(lines: Iterator[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _table(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    if rows:
        for line in (header, ["---"] * len(header), *rows):
            yield f"| {' | '.join(line)} |"
        yield ""


# Commands


def commands_page() -> Iterator[str]:
    """Yield the lines of the page of commands."""
    yield from ["# Commands", "", _MADE, ""]
    yield "Exit codes are 0 (ok), 1 (it failed, or a gate refused) and 2 (bad usage or input)."
    yield ""
    root = typer.main.get_command(app)
    for path, command in _commands(root, ()):
        yield from _command(path, command)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in sorted(children):
        yield from _commands(children[name], (*path, name))


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    name = " ".join(path)
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    words = " ".join(_argument(one) if one.required else f"[{_argument(one)}]" for one in arguments)
    yield from [f"## {name}", "", "```", f"edge-fgir {name} {words} [OPTIONS]".replace("  ", " ")]
    yield from ["```", ""]
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        for sentence in re.split(r"\n(?=Example:)", paragraph):
            yield from [" ".join(sentence.split()), ""]
    shown = [[_argument(one), _cell(getattr(one, "help", "") or "")] for one in arguments]
    yield from _table(["argument", "what"], shown)
    known = inspect.signature(inspect.unwrap(command.callback), eval_str=True).parameters
    rows = [_option(one, known[one.name].annotation) for one in options if one.name in known]
    yield from _table(["option", "takes", "default", "what"], rows)


def _argument(parameter: Any) -> str:
    name = str(parameter.name).upper()
    return f"{name}{'...' if parameter.nargs == -1 else ''}"


def _option(parameter: Any, annotation: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    known = default is not None and default is not False and not callable(default)
    takes = "" if parameter.is_flag else parameter.metavar or _type(annotation)
    bounds = {">=": parameter.min, "<=": parameter.max}
    ends = ", ".join(f"{sign} {end:g}" for sign, end in bounds.items() if end is not None)
    what = _cell(parameter.help or "")
    return [names, " ".join([takes, _cell(ends)]).strip(), f"`{default}`" if known else "", what]


# Models


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _type(one) for one in arguments)
    if origin in (tuple, list):
        kinds = dict.fromkeys(_type(one) for one in arguments if one is not Ellipsis)
        many = "" if origin is list or Ellipsis in arguments else f"{len(arguments)} x "
        return f"list of {many}{' and '.join(kinds)}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    return str(_TYPES.get(annotation) or getattr(annotation, "__name__", annotation))


_TYPES = {str: "text", bool: "true or false", int: "integer", float: "number", Path: "path"}


_BOUNDS = {
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
    "min_length": "length >=",
    "max_length": "length <=",
}


def _bounds(field: FieldInfo) -> str:
    found = []
    for fact in field.metadata:
        for name, sign in _BOUNDS.items():
            if (value := getattr(fact, name, None)) is not None:
                found.append(f"{sign} {value:g}")
    return _cell(", ".join(found))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "its own" if isinstance(value, BaseModel) else f"`{_cell(json.dumps(value))}`"


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        for kind in _models_in(field.annotation):
            yield from _sections(kind, f"{prefix}{field.alias or name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models_in(one)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[str]:
    rows = []
    for name, field in model.model_fields.items():
        section = next(_models_in(field.annotation), None)
        kind = "section" if section else _type(field.annotation)
        key = f"`{prefix}{field.alias or name}`"
        rows.append([key, kind, _default(field), _bounds(field), _cell(field.description or "")])
    yield from _table(["key", "type", "default", "bounds", "what"], rows)


def _model(model: type[BaseModel], title: str) -> Iterator[str]:
    for prefix, section in _sections(model):
        yield from [f"## {title}{': ' + prefix.rstrip('.') if prefix else ''}", ""]
        yield from [_sentence(section), ""]
        yield from _fields(section, prefix)


def _sentence(thing: Any) -> str:
    """Return the first paragraph of a docstring in one line, without the markup of references."""
    text = " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def recipe_page() -> Iterator[str]:
    """Yield the lines of the page of recipes."""
    yield from ["# The recipe", "", _MADE, ""]
    yield "Every key of a recipe. `--set optimizer.lr=1e-3` changes one from the command line."
    yield ""
    yield from _model(Recipe, "recipe")


def bundle_page() -> Iterator[str]:
    """Yield the lines of the page of the bundle's format."""
    yield from ["# The bundle's format", "", _MADE, ""]
    yield "A bundle is a folder, or a zip without compression, with these files:"
    yield ""
    yield from _table(["file", "what"], [[f"`{name}`", what] for name, what in _FILES.items()])
    yield from _model(Manifest, "manifest.json")
    yield from _model(Preprocess, "preprocess.json")
    yield from _model(Calibration, "calibration.json")
    yield from _model(Golden, "golden/expected.json")


_FILES = {
    "manifest.json": "what is inside, for which target, and the hash of every other file",
    "signature.json": "only if an Ed25519 key signed it: a signature over the manifest's bytes",
    "model.sig": "only if an elliptic curve key signed it: OpenSSF Model Signing 1.0",
    "bom.json": "the bill of materials, CycloneDX 1.6",
    "labels.txt": "the classes, one a line, UTF-8",
    "preprocess.json": "what a picture goes through",
    "calibration.json": "temperature, threshold of unknown, what they were fitted to",
    "golden/": "pictures, and in `expected.json` the answers that `verify` replays",
    "reports/": "what was compared and chosen while it was made",
    "novelty.json, novelty.npy": "what counts as new, where the model tells features",
    "openvino/": "the model as OpenVINO's IR, in a bundle for `openvino`",
    "model.onnx": "the model, in a bundle for `arm` or `jetson`",
    "model.tflite": "the model, in a bundle for `litert` or `web`",
    "tensorrt/": "for `jetson`: how its engine is built",
    "onnxruntime/, litert/, openvino/": "files of a second runtime, where the bundle has one",
    "index.html, sw.js, page/, litert/": "for `web`: the page and the runtime that it loads",
    "variants/": "the same for each other variant, in a folder: what is not there is the bundle's",
    "deepstream/, frigate/": "the model's files, as another program wants them",
}


# Python


def api_page() -> Iterator[str]:
    """Yield the lines of the page of the Python interface."""
    yield from ["# The Python interface", "", _MADE, ""]
    yield "What `import edge_fgir` hands out. Each name is imported when it is first used."
    yield ""
    for name in edge_fgir.__all__:
        if not name.startswith("_"):
            yield from _documented(name, getattr(edge_fgir, name))


def _documented(name: str, thing: Any) -> Iterator[str]:
    yield from [f"## {name}", ""]
    if inspect.isclass(thing) and issubclass(thing, (Exception, BaseModel)):
        yield from [_sentence(thing), ""]
        yield from _fields(thing, "") if issubclass(thing, BaseModel) else ()
        return
    yield from ["```", f"edge_fgir.{name}{_signature(thing)}", "```", ""]
    yield from [*_docstring(thing), ""]
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            function = getattr(value, "__func__", value)
            if member.startswith("_") or not (
                inspect.isfunction(function) or isinstance(value, property)
            ):
                continue
            yield from [f"**`{name}.{member}{_signature(function)}`** {_sentence(function)}", ""]


def _signature(thing: Any) -> str:
    if isinstance(thing, property):
        return ""
    text = re.sub(r"\bedge_fgir[\w.]*\.", "", str(inspect.signature(thing)))
    text = re.sub(r"ForwardRef\('([^']+)'[^)]*\)", r"\1", text)
    return re.sub(r"<.*? at 0x[0-9a-f]+>", "...", text).replace("'", "")


def _docstring(thing: Any) -> list[str]:
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(thing.__doc__ or ""))
    return ["```text", *text.replace("``", "`").splitlines(), "```"]


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        write_atomic(FOLDER / name, text)


if __name__ == "__main__":
    main()
