"""The error that every reader of data raises."""


class DataError(ValueError):
    """Data that cannot be used; the message says what was expected, received and what to do."""
