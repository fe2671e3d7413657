"""Errors of the domain: one stable code and the path of the offending field, for people and programs alike."""

from vcp.said import Said


class DomainError(Exception):
    """Something asked for can't be done; nothing was changed.

    `code` is stable and machine-readable, `path` names the field ("" = the whole request). `message` is for people who
    read logs and answers of the API: English. Pages show `words` in their language (`plants.words.local_text`).
    """

    code = "DOMAIN_ERROR"

    def __init__(self, message: str, *, path: str = "", code: str | None = None) -> None:
        super().__init__(str(message))
        self.words = message if isinstance(message, Said) else Said(message)
        self.message = str(message)
        self.path = path
        if code is not None:
            self.code = code


class Invalid(DomainError):
    """A value breaks a rule of its field."""

    code = "VALIDATION_ERROR"


class NotFound(DomainError):
    """No such object within the caller's organisation."""

    code = "NOT_FOUND"


class Conflict(DomainError):
    """The object's present state does not allow this."""

    code = "CONFLICT"


class Several(DomainError):
    """More than one problem at once; `problems` lists them all, the first one speaks."""

    code = "VALIDATION_ERROR"

    def __init__(self, problems: list[DomainError]) -> None:
        super().__init__(problems[0].words, path=problems[0].path, code=problems[0].code)
        self.problems = problems
