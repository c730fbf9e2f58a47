"""Read the model a study was made of, and its tokenizer, from disk; safetensors only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.study import Study


def source_of(study: Study) -> str:
    """Where the study's model lies: the folder `model` beside the study, else what it names."""
    beside = study.path.resolve().parent / "model"
    return str(beside) if (beside / "config.json").is_file() else study.manifest.model.id


def load_model(
    source: str | Path, *, download: bool = False, remote_code: bool = False
) -> PreTrainedModel:
    """The model in a folder, in float32 and evaluation mode, every weight frozen.

    An image classifier where its config says so, else a causal language model.
    `source` may also be the id of a model on the Hugging Face hub: one that was downloaded before,
    or with `download` any. Only safetensors are read. `remote_code` lets the model's own Python
    code run, which can do anything on this machine.
    Raises HillshadeError when there is no such model, it is damaged, or has weights that are not
    finite.
    """
    from transformers import AutoConfig

    config = _read(AutoConfig, source, download, trust_remote_code=remote_code)
    model = cast(
        "PreTrainedModel",
        _read(
            _kind(config),
            source,
            download,
            use_safetensors=True,
            trust_remote_code=remote_code,
        ),
    )
    model = model.float().eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise HillshadeError(
                f"The weight {name} of the model in {source} holds NaN or infinite numbers; "
                "take an intact copy of the model."
            )
    return model


def device() -> torch.device:
    """Where long work on a model runs: the first CUDA device, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_to_work(
    source: str | Path,
    *,
    download: bool = False,
    remote_code: bool = False,
    where: torch.device | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer as by `load_model` and `load_tokenizer`, on `device()` or `where`."""
    tokenizer = load_tokenizer(source, download=download, remote_code=remote_code)
    model = load_model(source, download=download, remote_code=remote_code)
    module: nn.Module = model
    module.to(where or device())
    return model, tokenizer


def load_skeleton(
    source: str | Path,
    *,
    download: bool = False,
    remote_code: bool = False,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """The same model without its weights, in `dtype` on the meta device: config.json is enough.

    Raises HillshadeError when there is no config of a causal language model or an image classifier.
    """
    from transformers import AutoConfig

    config = _read(AutoConfig, source, download, trust_remote_code=remote_code)
    try:
        with torch.device("meta"):
            model = _kind(config).from_config(config, trust_remote_code=remote_code).to(dtype)
    except (ValueError, ImportError) as error:
        raise _unreadable(source, error) from error
    return cast("PreTrainedModel", model.eval().requires_grad_(False))


def load_tokenizer(
    source: str | Path, *, download: bool = False, remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer beside the model; HillshadeError when there is none."""
    from transformers import AutoConfig, AutoTokenizer

    # Read first: that there is no such model at all is not the tokenizer's fault.
    _read(AutoConfig, source, download, trust_remote_code=remote_code)
    try:
        found = _read(AutoTokenizer, source, download, trust_remote_code=remote_code)
    except HillshadeError as error:
        raise HillshadeError(
            f"There is no tokenizer in {source}; put tokenizer.json and tokenizer_config.json "
            "beside the weights."
        ) from error
    return cast("PreTrainedTokenizerBase", found)


def _kind(config: object) -> Any:
    """The class of transformers that builds a model of this config."""
    from transformers import AutoModelForCausalLM, AutoModelForImageClassification

    built = getattr(config, "architectures", None) or [""]
    images = "ForImageClassification" in built[0]
    return AutoModelForImageClassification if images else AutoModelForCausalLM


def _read(kind: Any, source: str | Path, download: bool, **options: Any) -> object:
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source, local_files_only=not download, **options)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str | Path, error: Exception) -> HillshadeError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error.__cause__, (GatedRepoError, RepositoryNotFoundError)):
        return HillshadeError(
            f"The hub shows no model {source} to you; check the id, and if it is private or gated, "
            "ask for access on its page and log in with `hf auth login`."
        )
    first = str(error).strip().partition("\n")[0]
    return HillshadeError(
        f"No model of transformers can be read from {source} ({first}); "
        "name a folder with config.json, model.safetensors and the tokenizer."
    )
