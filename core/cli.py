"""The command `hillshade`: everything here is one screen of help and then a call into the engine.

Heavy imports (torch, transformers, streamlit) wait inside the commands, so that `--help` is quick.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.commands import collect
from core.errors import HillshadeError, StudyError

ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="hillshade",
    help="See the loss curvature of a network, and cut what it memorized.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.command()(collect.estimate)
app.command()(collect.collect)


def main() -> None:
    """Run the command line; what a person can put right ends in its sentence and exit code 1."""
    try:
        app(prog_name="hillshade")
    except HillshadeError as error:
        sys.exit(str(error))


@app.command()
def dashboard(
    study: Annotated[
        Path | None, typer.Option(help="Study folder to open first; the shipped one by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Exactly this port; else from 8501 on.")
    ] = None,
) -> None:
    """Serve the dashboard on localhost and print its address. Ctrl-C ends it."""
    page = _clone() / "dashboard" / "app.py"
    if study is not None:
        from core.study import Study

        os.environ["HILLSHADE_STUDY"] = str(Study.open(study).path.resolve())
    # Without a port Streamlit itself takes 8501 or the next one it can bind: no other program can
    # slip in between looking and binding. The rest is set in dashboard/.streamlit/config.toml.
    arguments = [] if port is None else [f"--server.port={port}"]
    os.chdir(_clone())  # `-m` puts this folder first on the import path, not the visitor's
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(page), *arguments])


@app.command()
def demo() -> None:
    """Train the shipped model again from its seed and store its study (about an hour)."""
    _clone()
    from core.demo.build import main as build

    build()


@app.command()
def check(study: Annotated[Path, typer.Argument(help="Study folder.")]) -> None:
    """Check a study folder and print what it holds; a sentence and exit code 1 if it is unfit."""
    from core.inspection import holdings, inspection
    from core.study import Study

    checks = inspection(study)
    unfit = [check for check in checks if not check.ok]
    if not unfit:
        for name, value in holdings(Study.open(study)):
            typer.echo(f"{name:<12}{value}")
    for check in checks if len(checks) > 1 else ():
        typer.echo(f"{check.name:<12}{check.said}")
    if unfit:
        raise StudyError(unfit[0].said)


@app.command()
def edit(
    study: Annotated[Path, typer.Argument(help="Study folder, with its eigenvectors.")],
    mass: Annotated[
        float, typer.Option(help="Curvature mass (svd, magnitude: share) kept, 0 to 1.")
    ],
    save: Annotated[Path, typer.Option(help="New folder for the edited transformers model.")],
    recipe: Annotated[str, typer.Option(help="A stored recipe; `check` lists them.")] = "kfac",
    until: Annotated[
        float, typer.Option(help="Cut only up to this mass; what comes after stays.")
    ] = 1.0,
    strength: Annotated[
        float, typer.Option(help="Of the edit: 0 leaves the weights, 1 cuts.")
    ] = 1.0,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="One cut-off for all projections together.")
    ] = False,
    save_recipe: Annotated[
        Path | None, typer.Option(help="Also write the recipe and its kept pairs (.json).")
    ] = None,
    layers_json: Annotated[
        Path | None, typer.Option(help="Also write the masses for the paper's own scripts.")
    ] = None,
) -> None:
    """Edit the study's model at one threshold and save it as an ordinary transformers model."""
    if save.exists():
        raise HillshadeError(f"{save} already exists; name a folder that does not.")
    from core import export
    from core.edit import Editor
    from core.methods import IN_BASIS
    from core.model import load_model, load_tokenizer, source_of
    from core.projection import find_projections
    from core.recipe import save_recipe as write_recipe
    from core.study import Study

    opened = Study.open(study)
    stored = opened.manifest.recipe(recipe)
    model = load_model(source_of(opened))
    opened = Study.open(study, model)
    projections = tuple(p for p in find_projections(model) if p.name in stored.projections)
    seed = stored.seeds[0] if stored.seeds else 0
    bases = opened.bases(recipe) if stored.method in IN_BASIS else None
    editor = Editor(model, bases, projections, stored.method, seed, pooled=pooled)
    edited, report = editor.at(mass, until, strength)
    made, kept = editor.recipe(mass, until, strength), editor.kept(mass, until)
    layers = export.layers_json(made, kept, projections) if layers_json else ""
    if save_recipe:
        write_recipe(save_recipe, made, kept)
    if layers_json:
        layers_json.write_text(layers + "\n", encoding="utf-8")
    export.save_model(edited, load_tokenizer(source_of(opened)), save)
    typer.echo(report)


def _clone() -> Path:
    """The root of the clone this package is installed from; HillshadeError if it is none."""
    if (ROOT / "pyproject.toml").is_file():
        return ROOT
    raise HillshadeError(
        "Hillshade runs from a clone of its repository, where the shipped model lies, and this "
        "installation is a copy; run `make dashboard` in a clone, or `pip install -e .` there."
    )


if __name__ == "__main__":
    main()
