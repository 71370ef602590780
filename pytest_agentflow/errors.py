"""What went wrong because of the user's input or machine, in one or two lines that name the cause and the next step."""


class AgentflowError(Exception):
    """A problem the user can act on. Printed without a traceback.

    `exit_code` follows pytest: 4 usage or configuration, 3 internal, 2 interrupted, 5 nothing collected.
    """

    def __init__(self, cause: str, next_step: str = "", exit_code: int = 4) -> None:
        super().__init__(f"{cause}\n{next_step}" if next_step else cause)
        self.cause = cause
        self.next_step = next_step
        self.exit_code = exit_code
