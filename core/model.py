"""Read the model a study was made of, and what lies beside it, from disk; safetensors only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from core.batches import reads_images
from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.preparation import Preparation
    from core.study import Study

    Processor = PreTrainedTokenizerBase | Preparation


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
    finite; also where the files lack a weight, which transformers would fill with random numbers.
    """
    config = _config(source, download, remote_code)
    model, info = cast(
        "tuple[PreTrainedModel, dict[str, set[str]]]",
        _read(
            _kind(config),
            source,
            download,
            use_safetensors=True,
            trust_remote_code=remote_code,
            output_loading_info=True,
        ),
    )
    if missing := sorted(info["missing_keys"]):
        raise HillshadeError(
            f"The files of the model in {source} lack {len(missing)} of the weights that its "
            f"config.json names, {missing[0]} first; take an intact copy of the model."
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
    require_kind(source, images=False, download=download, remote_code=remote_code)
    tokenizer = load_tokenizer(source, download=download, remote_code=remote_code)
    model = load_model(source, download=download, remote_code=remote_code)
    return _placed(model, where), tokenizer


def load_classifier_to_work(
    source: str | Path,
    *,
    download: bool = False,
    remote_code: bool = False,
    where: torch.device | None = None,
) -> tuple[PreTrainedModel, Preparation]:
    """The same of an image classifier and how images are prepared for it."""
    from core.preparation import load_preparation

    require_kind(source, images=True, download=download, remote_code=remote_code)
    model = load_model(source, download=download, remote_code=remote_code)
    return _placed(model, where), load_preparation(source, model, download=download)


def load_processor(source: str | Path, model: PreTrainedModel) -> Processor:
    """What lies beside the weights of a model that is here: its tokenizer, or its preparation."""
    from core.preparation import load_preparation

    if reads_images(model):
        return load_preparation(source, model)
    return load_tokenizer(source)


def require_kind(
    source: str | Path, *, images: bool, download: bool = False, remote_code: bool = False
) -> None:
    """HillshadeError where a model of the other kind is asked to read images, or texts."""
    config = _config(source, download, remote_code)
    built = _built(config)
    if images and not _classifies(config):
        raise HillshadeError(
            f"{source} is no image classifier but {built or 'of an unnamed class'}; name a model "
            "of a class …ForImageClassification, or give a language model --texts."
        )
    if not images and _classifies(config):
        raise HillshadeError(
            f"{source} is an image classifier ({built}), which reads no text; give it --images."
        )


def is_classifier(source: str | Path, *, download: bool = False, remote_code: bool = False) -> bool:
    """Whether the model's config says that it is an image classifier."""
    return _classifies(_config(source, download, remote_code))


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
    config = _config(source, download, remote_code)
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
    from transformers import AutoTokenizer

    _config(source, download, remote_code)  # that there is no model is not the tokenizer's fault
    try:
        found = _read(AutoTokenizer, source, download, trust_remote_code=remote_code)
    except HillshadeError as error:
        raise HillshadeError(
            f"There is no tokenizer in {source}; put tokenizer.json and tokenizer_config.json "
            "beside the weights."
        ) from error
    return cast("PreTrainedTokenizerBase", found)


def _config(source: str | Path, download: bool, remote_code: bool) -> object:
    from transformers import AutoConfig

    return _read(AutoConfig, source, download, trust_remote_code=remote_code)


def _kind(config: object) -> Any:
    """The class of transformers that builds a model of this config."""
    from transformers import AutoModelForCausalLM, AutoModelForImageClassification

    return AutoModelForImageClassification if _classifies(config) else AutoModelForCausalLM


def _classifies(config: object) -> bool:
    return "ForImageClassification" in _built(config)


def _built(config: object) -> str:
    """The class that the weights were saved from, as the config says it."""
    return str((getattr(config, "architectures", None) or [""])[0])


def _placed(model: PreTrainedModel, where: torch.device | None) -> PreTrainedModel:
    module: nn.Module = model
    module.to(where or device())
    return model


def _read(kind: Any, source: str | Path, download: bool, **options: Any) -> object:
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source, local_files_only=not download, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
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
