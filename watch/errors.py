"""Why a notification did not leave: a stable code, a sentence for people, and whether trying again can help."""


class SendError(Exception):
    """The message was not taken. `permanent`: it will not be by trying again; the text never holds a secret."""

    def __init__(self, message: str, *, code: str, permanent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent
