"""Settings of those who publish."""

from tina4_wsgi import Publisher, publish

# mypy says call-arg: Unexpected keyword argument "bus_directory" for "publish"
# pyright says reportCallIssue: No parameter named "bus_directory"
publish("/a", "hello", bus_directory="/run/app")

# mypy says arg-type: Argument "backplane" to "Publisher" has incompatible type
# pyright says reportArgumentType: parameter "backplane"
Publisher(backplane="nats")
