<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Poll</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/static/poll.css">
</head>
<body>
{{!base}}
</body>
</html>
