"""Errors meant for a person: one sentence that says what is wrong and what to do next."""


class HillshadeError(Exception):
    """Anything the person can put right: a bad setting, a broken file, unusable data."""


class UnsupportedModelError(HillshadeError):
    """The model is built in a way that this engine does not read; the message names the module."""


class StudyError(HillshadeError):
    """A study folder is missing, half-written, damaged, or belongs to another model."""
