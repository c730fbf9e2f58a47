"""The command `hillshade`: everything here is one screen of help and then a call into the engine.

Heavy imports (torch, transformers, streamlit) wait inside the commands, so that `--help` is quick.
"""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core.commands import audit, collect, edit, imported, mine, slice, sweep
from core.commands.progress import say
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
app.command()(sweep.sweep)
app.command("slice")(slice.slice_)
app.command()(edit.edit)
app.command()(audit.audit)
app.command()(mine.mine)
app.command("import")(imported.import_)


def main() -> None:
    """Run the command line.

    Exit codes: 0 fine; 1 what a person can put right, told in a sentence on standard error; 2 wrong
    usage; 130 cancelled.
    """
    try:
        app(prog_name="hillshade")
    except HillshadeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:  # while typer itself was at work
        sys.exit(130)


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
def demo(
    vision: Annotated[
        bool, typer.Option("--vision", help="The image classifiers instead of the language model.")
    ] = False,
) -> None:
    """Train what is shipped again from its seeds and store its study (language: about an hour)."""
    _clone()
    if vision:
        from core.demo.vision import build_vision

        build_vision()
    else:
        from core.demo.build import main as build

        build()


@app.command()
def check(
    study: Annotated[Path, typer.Argument(help="Study folder.")], json_: collect.Json = False
) -> None:
    """Check a study folder and print what it holds; a sentence and exit code 1 if it is unfit."""
    from core.inspection import holdings, inspection
    from core.study import Study

    checks = inspection(study)
    unfit = [check for check in checks if not check.ok]
    holds = [] if unfit else holdings(Study.open(study))
    if json_:
        held = [{"name": name, "said": value} for name, value in holds]
        say(study=str(study.resolve()), fit=not unfit, holds=held, checks=[*map(asdict, checks)])
    else:
        for name, value in holds:
            typer.echo(f"{name:<12}{value}")
        for check in checks if len(checks) > 1 else ():
            typer.echo(f"{check.name:<12}{check.said}")
    if unfit:
        raise StudyError(unfit[0].said)


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
