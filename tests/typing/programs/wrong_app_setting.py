"""Settings of `App` that are misspelt, of another type, or no choice."""

from tina4_wsgi import App

# mypy says call-arg: Unexpected keyword argument "max_mesage_bytes" for "App"; did you mean "max_message_bytes"
# pyright says reportCallIssue: No parameter named "max_mesage_bytes"
App(max_mesage_bytes=4_096)

# mypy says call-arg: Unexpected keyword argument "backplan_url" for "App"; did you mean "backplane_url"
# pyright says reportCallIssue: No parameter named "backplan_url"
App(backplan_url="redis://127.0.0.1")

# mypy says arg-type: Argument "max_message_bytes" to "App" has incompatible type "str"; expected "int | None"
# pyright says reportArgumentType: "Literal['4096']" is not assignable to "int"
App(max_message_bytes="4096")

# mypy says arg-type: Argument "backplane" to "App" has incompatible type "Literal['valkey']"
# pyright says reportArgumentType: "Literal['valkey']" is not assignable to type "Literal['redis']"
App(backplane="valkey")

# mypy says list-item: List item 0 has incompatible type "int"; expected "str"
# pyright says reportArgumentType: "Literal[1]" is not assignable to "str"
App(allowed_hosts=[1])

# mypy says arg-type: Argument "live" to "App" has incompatible type "str"
# pyright says reportArgumentType: parameter "live"
App(live="yes")
