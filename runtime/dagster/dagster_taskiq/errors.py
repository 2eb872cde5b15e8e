"""What can go wrong between this package and the API. Every message says what was expected, what came and what to do."""


class TaskiqError(Exception):
    """The common base of this package's errors."""


class TaskiqConfigError(TaskiqError):
    """A setting or a tag that cannot be used."""


class TaskiqApiError(TaskiqError):
    """The API refused a request.

    Attributes:
        status: the HTTP status.
        code: the API's stable code, such as ``task_not_found``; ``unknown`` where the answer had none.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class TaskiqUnreachableError(TaskiqError):
    """The API gave no usable answer in the time there was. What was asked may have been done."""
