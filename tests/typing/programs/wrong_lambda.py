"""Callbacks that are a `lambda`, which checkers look into."""

from tina4_wsgi import Router

router = Router()

# mypy says attr-defined: "Connection" has no attribute "speak"
# pyright says reportAttributeAccessIssue: Cannot access attribute "speak" for class "Connection"
router.websocket("/a", lambda connection, event, data: connection.speak(data))

# mypy says misc: Cannot infer type of lambda
# mypy says arg-type: Argument 2 to "websocket" of "_Registrar" has incompatible type
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: too few positional parameters; expected 3 but received 2
Router.websocket("/b", lambda connection, event: connection.send(event))

# mypy says misc: Cannot infer type of lambda
# mypy says arg-type: expected "Callable[[Request, Response], object]"
# pyright says reportCallIssue: No overloads for "__call__" match
# pyright says reportArgumentType: too few positional parameters; expected 2 but received 1
Router.get("/c", lambda request: request.path)
