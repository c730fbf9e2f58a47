"""Read the model a study was made of, and its tokenizer, from disk; safetensors only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.study import Study


def source_of(study: Study) -> str:
    """Where the study's model lies: the folder `model` beside the study, else what it names."""
    beside = study.path.resolve().parent / "model"
    return str(beside) if (beside / "config.json").is_file() else study.manifest.model.id


def load_model(source: str | Path) -> PreTrainedModel:
    """The causal language model in a folder, in float32 and evaluation mode, every weight frozen.

    Raises HillshadeError when the folder holds no such model, is damaged, or has weights that are
    not finite.
    """
    from transformers import AutoModelForCausalLM

    model = cast("PreTrainedModel", _read(AutoModelForCausalLM, source, use_safetensors=True))
    model = model.float().eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise HillshadeError(
                f"The weight {name} of the model in {source} holds NaN or infinite numbers; "
                "take an intact copy of the model."
            )
    return model


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside the model; HillshadeError when there is none."""
    from transformers import AutoTokenizer

    return cast("PreTrainedTokenizerBase", _read(AutoTokenizer, source))


def _read(kind: Any, source: str | Path, **options: Any) -> object:
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise HillshadeError(
            f"No model of transformers can be read from {source} ({first}); "
            "name a folder with config.json, model.safetensors and the tokenizer."
        ) from error
