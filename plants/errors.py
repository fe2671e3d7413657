"""Errors of the domain: one stable code and the path of the offending field, for people and programs alike."""


class DomainError(Exception):
    """Something asked for can't be done; nothing was changed.

    `code` is stable and machine-readable, `path` names the field ("" = the whole request), the text is for people.
    """

    code = "DOMAIN_ERROR"

    def __init__(self, message: str, *, path: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
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
        super().__init__(problems[0].message, path=problems[0].path, code=problems[0].code)
        self.problems = problems
